"""The README's Python runs as it is written."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

README = Path(__file__).resolve().parents[1] / "README.md"


def test_the_readme_code_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(), flags=re.DOTALL)
    assert len(blocks) == 1
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    exec(compile(blocks[0], str(README), "exec"), names)
    assert (tmp_path / "codes.hci").is_file()
    ids = names["ids"]
    assert ids[:, 0].tolist() == [0, 1, 2, 3, 4]  # type: ignore[index]


def test_every_path_of_the_readme_exists() -> None:
    text = README.read_text()
    paths = set(re.findall(r"`((?:csrc|src|python|tests|bench)/[\w/.-]*)`", text))
    assert len(paths) > 10
    for path in paths:
        assert (README.parent / path).exists(), path
