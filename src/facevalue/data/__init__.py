"""Image datasets: list, scan, group, split and read images."""
