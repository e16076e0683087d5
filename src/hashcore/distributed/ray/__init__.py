"""Sharded indexes on a Ray cluster: ``build``, ``ShardedIndex`` and ``encode``.

Needs the extra ``ray``. All workers and the caller see the shards' folder under one path, as on a
network file system. Where Ray has not been started, it is, as ``ray.init()`` does.
"""

from hashcore.distributed.ray._build import build
from hashcore.distributed.ray._encode import encode
from hashcore.distributed.ray._sharded_index import ShardedIndex, ShardLostError

__all__ = ["ShardLostError", "ShardedIndex", "build", "encode"]
