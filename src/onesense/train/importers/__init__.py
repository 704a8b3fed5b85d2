"""Readers of the starting networks' own file formats: one file a network, strict about names, shapes and sums."""
