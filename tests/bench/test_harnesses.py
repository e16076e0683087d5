"""The wrappers of public harnesses, loaded and driven step by step as those do it.

What a harness brings is written again here, as small as it goes: the base class, the way from
config.yml to constructor arguments, and the run.
"""

from __future__ import annotations

import importlib
import inspect
import itertools
import json
import re
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import hashcore
import reference
from conftest import REPOSITORY

yaml = pytest.importorskip("yaml", reason="needs the dev extra")

BASE = """
from multiprocessing.pool import ThreadPool


class BaseANN:
    def done(self):
        pass

    def get_memory_usage(self):
        return 0.0

    def batch_query(self, X, n):
        with ThreadPool(2) as pool:
            self.res = pool.map(lambda q: self.query(q, n), X)

    def get_batch_results(self):
        return self.res

    def get_additional(self):
        return {}

    def __str__(self):
        return self.name
"""
HARNESSES = {
    "ann_benchmarks": ("docker_tag", "Dockerfile"),
    "vibe": ("singularity_image", "image.def"),
}


@dataclass(frozen=True)
class Definition:
    """One way to build an index, and all ways to query it."""

    module: str
    constructor: str
    arguments: list[Any]
    query_arguments: list[list[Any]]


@pytest.fixture(params=HARNESSES)
def harness(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    """The name of a harness that can be imported and has the wrapper among its algorithms."""
    name: str = request.param
    algorithms = tmp_path / name / "algorithms"
    (algorithms / "base").mkdir(parents=True)
    (algorithms / "base" / "module.py").write_text(BASE)
    shutil.copytree(REPOSITORY / "bench" / name, algorithms / "hashcore")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    yield name
    for module in [each for each in sys.modules if each.partition(".")[0] == name]:
        del sys.modules[module]


def grid(spec: list[Any] | dict[str, Any], positional: bool) -> list[Any]:
    """Every choice of one value from each list; of a mapping, by name or by position."""
    lists = spec.values() if isinstance(spec, dict) else spec
    chosen = itertools.product(*(each if isinstance(each, list) else [each] for each in lists))
    if isinstance(spec, dict) and not positional:
        return [dict(zip(spec, values, strict=True)) for values in chosen]
    return [list(values) for values in chosen]


def definitions(harness: str, point_type: str, metric: str) -> list[Definition]:
    """What the harness would run for data of this type and metric."""
    image, _ = HARNESSES[harness]
    config = yaml.safe_load(Path(harness, "algorithms", "hashcore", "config.yml").read_text())
    positional = harness == "vibe"
    found = []
    for algorithm in config.get(point_type, {}).get(metric, []):
        assert isinstance(algorithm["name"], str)
        assert isinstance(algorithm[image], str)
        assert algorithm["disabled"] is False
        for group in algorithm["run_groups"].values():
            assert set(group) <= {"args", "query_args"}
            for arguments in grid(group["args"], positional):
                every = algorithm["base_args"] + (
                    arguments if isinstance(arguments, list) else [arguments]
                )
                found.append(
                    Definition(
                        algorithm["module"],
                        algorithm["constructor"],
                        [metric if each == "@metric" else each for each in every],
                        grid(group.get("query_args", []), positional)
                        if "query_args" in group
                        else [],
                    )
                )
    return found


def instantiate(definition: Definition) -> Any:
    """The algorithm; arguments pass through JSON, as on the way into a container."""
    module = importlib.import_module(f"{definition.module}.module")
    arguments = json.loads(json.dumps(definition.arguments))
    algorithm = getattr(module, definition.constructor)(*arguments)
    assert not definition.query_arguments or hasattr(algorithm, "set_query_arguments")
    return algorithm


def run(
    definition: Definition, train: NDArray[Any], test: NDArray[Any], count: int, *, batch: bool
) -> dict[str, list[list[int]]]:
    """Ids of each query by the name of the algorithm with its query arguments."""
    algorithm, given = instantiate(definition), train.copy()
    found = {}
    try:
        assert algorithm.get_memory_usage() is not None
        algorithm.fit(train)
        for arguments in definition.query_arguments or [[]]:
            if arguments:
                algorithm.set_query_arguments(*arguments)
            if batch:
                algorithm.batch_query(test, count)
                results = algorithm.get_batch_results()
            else:
                results = [algorithm.query(query, count) for query in test]
            for candidates in results:
                assert len(candidates) == len(set(candidates)) <= count
                assert train[candidates].shape[1:] == train.shape[1:]  # as it takes distances
            assert str(algorithm) not in found, "a parameter is missing in the name"
            found[str(algorithm)] = [[int(id) for id in candidates] for candidates in results]
            assert isinstance(algorithm.get_additional(), dict)
    finally:
        if hasattr(algorithm, "done"):
            algorithm.done()
    np.testing.assert_array_equal(train, given)  # what a harness gave is as it was
    return found


def bits_of(bits: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Booleans [1000, bits] and queries [20, bits], clustered, with many equal distances."""
    rng = np.random.default_rng(bits)
    codes = reference.random_codes(rng, 1020, bits)
    values = np.unpackbits(codes, axis=1, count=bits).astype(np.bool_)
    return values[:1000], values[1000:]


@pytest.mark.parametrize("batch", [False, True])
@pytest.mark.parametrize("bits", [16, 100, 256])
def test_binary_data_are_searched_exactly(harness: str, bits: int, batch: bool) -> None:
    bits = bits if harness == "ann_benchmarks" else -(-bits // 8) * 8
    train, test = bits_of(bits)
    packed = np.packbits(train, axis=1), np.packbits(test, axis=1)
    point_type = {"ann_benchmarks": "bit", "vibe": "binary"}[harness]
    base, queries = (train, test) if harness == "ann_benchmarks" else packed
    every = definitions(harness, point_type, "hamming")
    assert [definition.arguments for definition in every] == [
        ["hamming", "flat"],
        ["hamming", "mih"],
    ]
    for count in (1, 10, 1005):
        _, ids, found = reference.knn(*packed, count, bits)
        expected = [row[:n].tolist() for row, n in zip(ids, found, strict=True)]
        for definition in every:
            outcome = run(definition, base, queries, count, batch=batch)
            assert list(outcome.values()) == [expected]


@pytest.mark.parametrize("harness", ["vibe"], indirect=True)
@pytest.mark.parametrize("metric", ["cosine", "normalized"])
def test_float_data_are_rescored(harness: str, metric: str) -> None:
    rng = np.random.default_rng(0)
    train = rng.standard_normal((600, 64), np.float32)
    test = train[:15] + 0.7 * rng.standard_normal((15, 64), np.float32)
    lengths = np.linalg.norm(train, axis=1, keepdims=True)
    if metric == "normalized":
        train, test = train / lengths, test / np.linalg.norm(test, axis=1, keepdims=True)
        lengths = np.ones_like(lengths)
    truth = np.argsort(-(test @ (train / lengths).T), axis=1)[:, :10]
    every = definitions(harness, "float", metric)
    assert [definition.arguments for definition in every] == [
        [metric, "float32"],
        [metric, "int8"],
    ]
    for definition in every:
        outcome = run(definition, train, test, 10, batch=False)
        recalls = [
            np.mean(
                [len(set(row) & set(right)) / 10 for row, right in zip(ids, truth, strict=True)]
            )
            for ids in outcome.values()
        ]
        assert recalls == sorted(recalls)
        assert recalls[0] < 0.7
        full = list(outcome.values())[-1]  # a shortlist of all
        if "float32" in definition.arguments:
            assert full == truth.tolist()
        else:
            assert recalls[-1] > 0.97
        first = [definition.query_arguments[0]]
        few = Definition(definition.module, definition.constructor, definition.arguments, first)
        assert run(few, train, test, 10, batch=True) == dict([next(iter(outcome.items()))])


def test_what_a_wrapper_cannot_do_it_refuses(harness: str) -> None:
    module = importlib.import_module(f"{harness}.algorithms.hashcore.module")
    classes: list[Any] = [
        each
        for _, each in inspect.getmembers(module, inspect.isclass)
        if each.__module__ == module.__name__
    ]
    assert len(classes) == {"ann_benchmarks": 1, "vibe": 2}[harness]
    for each in classes:
        with pytest.raises(NotImplementedError, match=r"metric: expected \w+.*; got euclidean"):
            each("euclidean", "flat")
    if harness == "ann_benchmarks":
        with pytest.raises(TypeError, match="expected float16"):
            classes[0]("hamming", "flat").fit(np.zeros((3, 8), np.uint8))  # packed, or no bits
        with pytest.raises(RuntimeError, match=r"expected batch_query\(\) before"):
            classes[0]("hamming", "flat").get_batch_results()
    else:
        with pytest.raises(ValueError, match="vectors: expected float32 or int8; got float64"):
            classes[1]("cosine", "float64")


def test_images_install_this_version(harness: str) -> None:
    text = (REPOSITORY / "bench" / harness / HARNESSES[harness][1]).read_text()
    assert re.findall(r"hashcore-search==(\S+)", text) == [hashcore.__version__]
