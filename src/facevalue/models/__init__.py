"""Classifiers, their networks and what they compute."""
