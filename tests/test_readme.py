"""The README's Python runs as it is written."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

README = Path(__file__).resolve().parents[1] / "README.md"


def test_the_readme_code_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(), flags=re.DOTALL)
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    for block in blocks:
        exec(compile(block, str(README), "exec"), names)
    assert (tmp_path / "codes.hci").is_file()
    assert names["ids"][:, 0].tolist() == [0, 1, 2, 3, 4]
    assert names["result"].distances[:, 0].tolist() == [0] * 5
    assert names["index"].stats()["layout"] == "compact"


def test_every_path_of_the_readme_exists() -> None:
    text = README.read_text()
    paths = set(re.findall(r"`((?:csrc|src|python|tests|bench|examples)/[\w/.-]*)`", text))
    assert len(paths) > 10
    for path in paths:
        assert (README.parent / path).exists(), path
