"""How the bundled model is made (needs the extra `[train]`), and how any model is adapted (needs none: `adapt`)."""
