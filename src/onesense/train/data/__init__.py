"""Training data: readers over the packs that never yield a development row."""
