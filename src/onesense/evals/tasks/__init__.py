"""One file an evaluation task."""
