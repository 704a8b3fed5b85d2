"""The parts of the bundled model: words, graphs, senses and how they become one sequence. NumPy and ONNX Runtime."""
