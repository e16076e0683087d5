"""The demo, its baselines and its report."""
