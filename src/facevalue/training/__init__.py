"""Recipe and manifest → classifier."""
