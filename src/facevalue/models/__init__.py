"""Classifiers, their networks and the features that they compute."""
