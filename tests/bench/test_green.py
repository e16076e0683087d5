"""Nothing is measured while the tests are red, and green tests do not run twice."""

from __future__ import annotations

from pathlib import Path

import pytest
from bench.green import SOURCES, is_green, tree_digest

from bench import __main__ as command


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in SOURCES:
        path = tmp_path / name
        if path.suffix:
            path.write_text(name)
        else:
            path.mkdir()
            (path / "a.py").write_text(name)
    return tmp_path


class Suite:
    """A test suite that remembers where it ran."""

    def __init__(self, *, green: bool) -> None:
        self.green = green
        self.runs: list[Path] = []

    def __call__(self, root: Path) -> bool:
        self.runs.append(root)
        return self.green


def test_every_source_counts(tree: Path) -> None:
    digests = {tree_digest(tree)}
    for name in SOURCES:
        path = tree / name if (tree / name).is_file() else tree / name / "a.py"
        path.write_text(path.read_text() + "\n")
        digests.add(tree_digest(tree))
    (tree / "src" / "a.py").rename(tree / "src" / "b.py")
    digests.add(tree_digest(tree))
    assert len(digests) == len(SOURCES) + 2


def test_what_is_built_does_not_count(tree: Path) -> None:
    before = tree_digest(tree)
    (tree / "src" / "_core.so").write_text("built")
    (tree / "src" / "__pycache__").mkdir()
    (tree / "src" / "__pycache__" / "a.pyc").write_text("built")
    (tree / "bench").mkdir()
    (tree / "bench" / "a.py").write_text("measures")
    assert tree_digest(tree) == before


def test_green_tests_run_once_for_a_tree(tree: Path) -> None:
    suite = Suite(green=True)
    assert is_green(tree, suite)
    assert is_green(tree, suite)
    assert suite.runs == [tree]
    (tree / "src" / "a.py").write_text("changed")
    assert is_green(tree, suite)
    assert suite.runs == [tree, tree]


def test_red_tests_are_not_remembered_as_green(tree: Path) -> None:
    assert is_green(tree, Suite(green=True))
    (tree / "src" / "a.py").write_text("broken")
    broken = Suite(green=False)
    assert not is_green(tree, broken)
    assert not is_green(tree, broken)
    assert broken.runs == [tree, tree]
    (tree / "src" / "a.py").write_text("src")
    mended = Suite(green=True)
    assert is_green(tree, mended)
    assert mended.runs == [tree]


def test_the_command_refuses_to_measure_a_red_tree(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["bench", "--quick"])
    monkeypatch.setattr(command, "peers", dict)
    monkeypatch.setattr(command, "is_green", lambda root: False)
    monkeypatch.setattr(command, "run_benches", lambda *_: pytest.fail("measured a red tree"))
    with pytest.raises(SystemExit, match=r"^bench: the tests are red[^\n]*$"):
        command.main()


def test_the_command_says_that_a_peer_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["bench"])
    monkeypatch.setattr(command, "PEERS", ("a-package-that-nobody-has",))
    monkeypatch.setattr(command, "is_green", lambda root: pytest.fail("ran the tests"))
    with pytest.raises(SystemExit, match=r"^bench: expected the bench extra[^\n]*nobody-has"):
        command.main()
