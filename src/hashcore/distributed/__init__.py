"""One index in many files, on one machine or several.

A shard is an index file, and a ``ShardManifest`` lists the shards of an index. ``search_shard``
needs NumPy only and runs under any scheduler; ``merge`` and ``merge_ranges`` make the answers of
all shards the answer of one index, to the byte. ``hashcore.distributed.ray`` does it all on Ray.
"""

from hashcore.distributed.manifest import ShardManifest
from hashcore.distributed.shard import Shard, range_search_shard, search_shard, write_shard
from hashcore.results import merge, merge_ranges

__all__ = [
    "Shard",
    "ShardManifest",
    "merge",
    "merge_ranges",
    "range_search_shard",
    "search_shard",
    "write_shard",
]
