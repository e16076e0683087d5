"""Measurements of hashcore beside its peers: ratios of medians from one run."""
