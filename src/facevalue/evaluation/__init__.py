"""Figures, calibration, slices and comparisons of models."""
