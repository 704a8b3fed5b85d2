"""Questions and answers over collections: retrieve, answer, cite."""
