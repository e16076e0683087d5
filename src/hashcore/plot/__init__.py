"""Pictures of codes, searches and trainings, on matplotlib.

Every function draws on the axes that it is given, or makes a figure, and returns the axes. Colours
are told apart with any colour vision; lines and markers tell them apart without colour.
"""

from __future__ import annotations

from hashcore._extras import needs

with needs("plot"):
    from hashcore.plot.codes import bit_balance, bit_correlation, distance_histogram, tsne
    from hashcore.plot.curves import (
        Average,
        learning_curve,
        precision_at,
        precision_recall,
        recall_over_time,
    )

__all__ = [
    "Average",
    "bit_balance",
    "bit_correlation",
    "distance_histogram",
    "learning_curve",
    "precision_at",
    "precision_recall",
    "recall_over_time",
    "tsne",
]
