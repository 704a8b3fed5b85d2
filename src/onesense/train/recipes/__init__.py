"""Recipes: short files of plain values. The first lines say what, the command, the expected metric and the time."""
