"""The bundled model in torch."""
