"""Blocks of pages are found, changed and run; what is none is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from code_blocks import blocks_of, run_blocks


def page(folder: Path, text: str) -> Path:
    path = folder / "page.md"
    path.write_text(text)
    return path


def test_blocks_run_in_order_in_one_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = """
```python
rows = 2
```
Between.
<!-- in tests: 1000 -> 3 ; other -> name -->
```sh
echo 1000 > other
```
<!-- not run: it would fail -->
```sh
exit 1
```
```text
not code
```
```python
import pathlib
rows += int(pathlib.Path("name").read_text())
```
"""
    assert run_blocks(page(tmp_path, text), tmp_path)["rows"] == 5


@pytest.mark.parametrize("code", ["false", "false | cat", "echo $unset", "no-such-command"])
def test_a_failing_command_fails_the_page(tmp_path: Path, code: str) -> None:
    with pytest.raises(AssertionError, match=r"page\.md:2"):
        run_blocks(page(tmp_path, f"```sh\n{code}\ntrue\n```\n"), tmp_path)


def test_an_error_names_the_line_of_the_page(tmp_path: Path) -> None:
    text = "Words.\n\n```python\na = 1\nb = 1 / 0\n```\n"
    with pytest.raises(ZeroDivisionError) as raised:
        run_blocks(page(tmp_path, text), tmp_path)
    assert raised.traceback[-1].lineno == 4
    assert str(raised.traceback[-1].path).endswith("page.md")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("```py\na\n```\n", 'got "py"'),
        ("```\na\n```\n", 'got ""'),
        ("<!-- skipped -->\n```sh\na\n```\n", "not run: REASON"),
        ("<!-- not run:  -->\n```sh\na\n```\n", "not run: REASON"),
        ("<!-- in tests: b -> c -->\n```sh\na\n```\n", 'expected "b"'),
        ("```sh\na\n", "not closed"),
        ("- item\n\n  ```sh\n  a\n  ```\n", "indented"),
    ],
)
def test_what_would_not_be_run_by_mistake_is_an_error(
    tmp_path: Path, text: str, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        blocks_of(page(tmp_path, text))
