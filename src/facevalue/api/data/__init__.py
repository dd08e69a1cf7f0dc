"""The verbs after ``data``."""
