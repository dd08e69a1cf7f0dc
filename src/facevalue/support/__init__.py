"""Helpers that every part may use: files, threads, progress, number formats."""
