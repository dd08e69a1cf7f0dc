"""The other side of ``benchmarks.serving``: the servers that somebody writes in ten minutes."""
