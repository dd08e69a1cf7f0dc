"""The baselines of ``benchmarks.serving``: simple servers as in tutorials."""
