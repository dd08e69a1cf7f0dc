"""Training: from a recipe and a manifest to a classifier."""
