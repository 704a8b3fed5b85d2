"""How the bundled model is made: importers, data, losses, runs, export. Needs the extra `[train]`."""
