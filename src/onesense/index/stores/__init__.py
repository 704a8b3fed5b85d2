"""Where vectors live: one file a store, each with a class `Store`."""
