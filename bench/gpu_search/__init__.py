"""The search on a GPU beside other ways to search there: ``python -m bench.gpu_search``."""
