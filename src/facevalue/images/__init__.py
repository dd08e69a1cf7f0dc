"""From file bytes to the network input."""
