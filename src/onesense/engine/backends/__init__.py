"""Models: one file a backend, each with a class `Backend`."""
