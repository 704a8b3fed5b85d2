"""Collections as the retrievers and embedders of frameworks: one file a framework, which needs that framework."""
