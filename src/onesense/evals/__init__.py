"""Quality, measured: metrics, development sets and the runner."""
