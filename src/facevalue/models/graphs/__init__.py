"""Torch modules as ONNX graphs, in memory."""
