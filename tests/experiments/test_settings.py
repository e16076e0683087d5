"""Values of TOML become fields, or one line that names the file and the key."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest

from hashcore.experiments.settings import Section, replaced

FILE = Path("bench/x.toml")


@dataclass(frozen=True)
class Inner:
    widths: tuple[int, ...] = (4,)
    pair: tuple[int, str] = (1, "a")


@dataclass(frozen=True)
class Outer:
    rate: float = 1.0
    count: int = 1
    on: bool = False
    kind: Literal["a", "b"] = "a"
    where: Path | None = None
    either: int | str = 1
    inner: Inner = field(default_factory=Inner)

    def __post_init__(self) -> None:
        if self.count < 0:
            raise ValueError(f"count: expected >= 0; got {self.count}")


def build(**entries: Any) -> Outer:
    return replaced(Outer(), Section(entries, FILE, "here."))


def test_fields_take_their_types() -> None:
    made = build(
        rate=2, count=3, on=True, kind="b", where="a/b", either="x", inner={"widths": [1, 2]}
    )
    assert made == Outer(2.0, 3, True, "b", Path("a/b"), "x", Inner((1, 2)))
    assert isinstance(made.rate, float)
    assert build(inner={"pair": [2, "b"]}).inner.pair == (2, "b")
    assert build(either=5).either == 5
    assert build() == Outer()


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"rat": 1}, 'here.rat: no such field of Outer; did you mean "rate"?'),
        ({"zzz": 1}, "here.zzz: no such field of Outer; expected any of count, either"),
        ({"rate": "x"}, "here.rate: expected a number; got 'x'"),
        ({"rate": True}, "here.rate: expected a number; got True"),
        ({"count": 1.5}, "here.count: expected an integer; got 1.5"),
        ({"count": True}, "here.count: expected an integer; got True"),
        ({"on": 1}, "here.on: expected true or false; got 1"),
        ({"kind": "c"}, "here.kind: expected one of 'a', 'b'; got 'c'"),
        ({"where": 1}, "here.where: expected a path as a string; got 1"),
        ({"either": 1.5}, "here.either: expected an integer or a string; got 1.5"),
        ({"inner": 3}, "here.inner: expected a table; got 3"),
        (
            {"inner": {"width": 3}},
            'here.inner.width: no such field of Inner; did you mean "widths"',
        ),
        (
            {"inner": {"widths": [1, "x"]}},
            "here.inner.widths: expected a list, each an integer; got",
        ),
        ({"inner": {"widths": 4}}, "here.inner.widths: expected a list, each an integer; got 4"),
        ({"inner": {"pair": [1]}}, "here.inner.pair: expected a list"),
        ({"count": -1}, "here.count: count: expected >= 0; got -1"),
    ],
)
def test_errors_name_file_and_key(entries: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=r"^bench/x\.toml: ") as error:
        build(**entries)
    assert str(error.value).startswith(f"bench/x.toml: {message}")
    assert "\n" not in str(error.value)


def test_keys_that_nobody_takes_are_refused() -> None:
    section = Section({"a": 1, "seds": [1]}, FILE)
    assert section.take("a", int) == 1
    assert section.integers("seeds", 0, (0,)) == (0,)
    with pytest.raises(ValueError, match=r'x\.toml: seds: no such key; did you mean "seeds"'):
        section.close()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([], "expected 1 or more, each once"),
        ([1, 1], "expected 1 or more, each once"),
        ([0], "expected integers >= 1; got 0"),
        (["x"], "expected integers >= 1; got 'x'"),
        (3, "expected a list; got 3"),
    ],
)
def test_lists_are_checked(values: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Section({"bits": values}, FILE).integers("bits", 1, ())


def test_a_file_that_is_missing_or_no_toml(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"none\.toml: no such file"):
        Section.read(tmp_path / "none.toml")
    (tmp_path / "bad.toml").write_text("a = ")
    with pytest.raises(ValueError, match=r"bad\.toml: not TOML: "):
        Section.read(tmp_path / "bad.toml")
