from __future__ import annotations

import subprocess
import sys

import pytest

from hashcore.data import DATASETS, load


def test_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(
        ValueError, match=r'expected one of shapes, wikipedia, iapr, .*; got "wiki"'
    ):
        load("wiki")


def test_unknown_option_is_refused() -> None:
    with pytest.raises(TypeError, match='no option "size"; it has pairs, queries, seed'):
        load("shapes", size=3)
    with pytest.raises(TypeError, match='no option "seed"; it has none'):
        load("wikipedia", "x.mat", seed=3)


def test_a_generated_set_takes_no_path() -> None:
    with pytest.raises(ValueError, match="it takes no path"):
        load("shapes", "shapes.npz")


@pytest.mark.parametrize("name", [name for name in DATASETS if name != "shapes"])
def test_a_set_with_files_needs_its_path(name: str) -> None:
    with pytest.raises(ValueError, match=r"a path is needed\. Expected"):
        load(name)


def test_import_and_shapes_need_neither_torch_nor_scipy() -> None:
    program = (
        "import sys, hashcore.data as data; data.load('shapes', pairs=20);"
        "print([m for m in ('torch', 'scipy', 'h5py', 'matplotlib') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
