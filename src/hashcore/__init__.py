"""Learn binary codes for images and texts, pack them, and search billions by Hamming distance.

The engine (packing, search, metrics) needs NumPy only. The learning half lives in
``hashcore.methods`` and ``hashcore.train`` and needs the ``train`` extra.
"""

from hashcore._core import FormatError
from hashcore._core import version as __version__
from hashcore.codes import convert, pack, unpack
from hashcore.index import Index
from hashcore.rescoring import rescore
from hashcore.results import RangeResult, SearchResult, merge, merge_ranges
from hashcore.runtime import build_info, isa, isa_levels, num_threads, set_num_threads
from hashcore.search import (
    Filter,
    distance_histogram,
    knn,
    pairwise,
    range_search,
)

__all__ = [
    "Filter",
    "FormatError",
    "Index",
    "RangeResult",
    "SearchResult",
    "__version__",
    "build_info",
    "convert",
    "distance_histogram",
    "isa",
    "isa_levels",
    "knn",
    "merge",
    "merge_ranges",
    "num_threads",
    "pack",
    "pairwise",
    "range_search",
    "rescore",
    "set_num_threads",
    "unpack",
]
