"""What the backends of open checkpoints share. Torch and transformers are loaded when weights are, not before."""
