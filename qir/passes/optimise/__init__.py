"""Passes that change numbers, not the graph, so that quantization costs less."""
