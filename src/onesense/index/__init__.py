"""Collections: files in, ranked hits out."""
