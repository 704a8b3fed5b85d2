"""Bytes to canonical media: one file a modality, plus sniffing, fetching and segmenting."""
