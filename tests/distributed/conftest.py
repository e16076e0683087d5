from __future__ import annotations

import warnings
from collections.abc import Iterator

import numpy as np
import pytest

import hashcore
from distributed.partitions import Dealt
from hashcore.distributed import ShardManifest, write_shard


@pytest.fixture(scope="session")
def cluster() -> Iterator[None]:
    """Ray on this machine with two CPUs, whatever else runs here."""
    import ray

    ray.init(
        address="local",
        num_cpus=2,
        include_dashboard=False,
        object_store_memory=100 << 20,
        log_to_driver=False,
        logging_level="error",
        _system_config={"worker_niceness": 0},  # they would wait for whatever else runs here
    )
    with warnings.catch_warnings():
        # Ray Data sets options of its own that it has deprecated.
        warnings.filterwarnings("ignore", "`use_", DeprecationWarning, "ray.data")
        from ray.data import DataContext

        context = DataContext.get_current()
    context.enable_progress_bars = False
    yield
    ray.shutdown()


@pytest.fixture(scope="session")
def dealt(tmp_path_factory: pytest.TempPathFactory) -> Dealt:
    """Enough codes for a search that can be disturbed, in shards with interleaved ids."""
    folder = tmp_path_factory.mktemp("dealt")
    count = 200_000
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 256, (count, 8), np.uint8)
    whole = hashcore.Index.from_codes(codes, copy=False)
    ids = np.arange(count)
    shards = [write_shard(folder, codes[ids % 3 == n], ids[ids % 3 == n]) for n in range(3)]
    manifest = ShardManifest(tuple(shards))
    manifest.save(folder / "shards.json")
    return Dealt(whole, manifest, codes, ids, rng.integers(0, 256, (7, 8), np.uint8))
