"""Evaluation figures, calibration, slices and comparisons of models."""
