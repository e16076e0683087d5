"""What the bench measures is the search, and the scan that it asks for."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from bench.gpu_search.contenders import Ours, own_peers
from bench.gpu_search.workloads import OWN_POPC, SMALL_K

import hashcore
from gpu_doubles import as_tensor
from reference import random_codes


def on_host(array: Any) -> np.ndarray[Any, Any]:
    return np.asarray(array.numpy())


@pytest.mark.usefixtures("pretend")
def test_what_is_measured_is_the_search() -> None:
    rng = np.random.default_rng(0)
    database, queries = random_codes(rng, 500, 256), random_codes(rng, 20, 256)
    ours = Ours(as_tensor(database))
    peers = own_peers(ours)
    for few, k, scan in ((queries, 12, "b1"), (queries[:2], 30, "popc"), (queries[:7], 3, "b1")):
        expected = hashcore.knn(database, few, k)
        for search, used in ((ours, scan), (peers[OWN_POPC], "popc")):
            found = search.search(as_tensor(few), k)
            assert np.array_equal(on_host(found.distances), expected.distances)
            assert np.array_equal(on_host(found.ids), expected.ids)
            assert ours.scan == used
    fewer = peers[SMALL_K].search(as_tensor(queries), 30)
    assert np.array_equal(on_host(fewer.ids), hashcore.knn(database, queries, 10).ids)
