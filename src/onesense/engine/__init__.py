"""Contents to embeddings: batching, caching, task prompts, backends and the Gemini-shaped client."""
