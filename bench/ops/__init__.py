"""The training ops beside other ways to compute the same: ``python -m bench.ops``."""
