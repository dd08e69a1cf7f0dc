"""Attacks, defences, corruptions and certificates."""
