"""Finds faces in images, and decides whether one may be answered for. Needs neither OpenCV nor torch."""
