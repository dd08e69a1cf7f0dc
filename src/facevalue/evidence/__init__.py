"""What is known of a model: its card, the evidence on it, and policies that judge it."""
