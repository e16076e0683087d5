"""What the results of every bench share: contenders, targets, rows, and files of JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, Self, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Timing:
    """One contender: the median of its rounds.

    Attributes:
        seconds: of one run.
        per_second: the row's unit of work a second.
        ratio: hashcore's rate over this one; 1 for hashcore itself.
    """

    seconds: float
    per_second: float
    ratio: float = 1.0


@dataclass(frozen=True)
class Outcome:
    """A target and the value that was reached."""

    measure: str
    at_least: float
    reached: float

    @property
    def met(self) -> bool:
        """Whether the value is at least what was asked."""
        return self.reached >= self.at_least


class Row:
    """One workload: a mixin of dataclasses with these fields and more.

    Attributes:
        hashcore: what it took, by the class that reads that again.
        peers: the same of each.
        shares: hashcore's rate over a limit of the machine, by the limit's name.
    """

    table: str
    workload: str
    hashcore: Any
    peers: Mapping[str, Any]
    shares: Mapping[str, float]
    targets: tuple[Outcome, ...]

    contender: ClassVar[Callable[..., object]]

    @property
    def key(self) -> tuple[str, str]:
        """What makes two rows of two runs the same row."""
        return self.table, self.workload

    def ratios(self) -> dict[str, float]:
        """Hashcore's rate over that of each peer."""
        return {name: peer.ratio for name, peer in self.peers.items()}

    def measures(self) -> dict[str, float]:
        """Every ratio and share by name: what may be compared between runs."""
        return self.ratios() | dict(self.shares)

    @classmethod
    def from_dict(cls, found: Mapping[str, Any]) -> Self:
        """Read what ``asdict`` made of a row."""
        read = cls.contender
        return cls(
            **{
                **found,
                "hashcore": read(**found["hashcore"]),
                "peers": {name: read(**peer) for name, peer in found["peers"].items()},
                "targets": tuple(Outcome(**outcome) for outcome in found["targets"]),
            }
        )


class Results:
    """A run: a mixin of dataclasses with these fields and more."""

    machine: Mapping[str, Any]
    rows: tuple[Any, ...]

    FORMAT: ClassVar[str]

    def markdown(self) -> str:
        """The figures for people, machine included."""
        raise NotImplementedError

    @classmethod
    def from_dict(cls, found: Mapping[str, Any]) -> Self:
        """Read what ``asdict`` made of a run."""
        raise NotImplementedError

    def write(self, folder: Path, name: str) -> None:
        """Write ``name.json`` and ``name.md``."""
        content = {"format": self.FORMAT, **asdict(self)}  # type: ignore[call-overload]
        write_results(folder / name, content, self.markdown())

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a file that ``write`` wrote.

        Raises:
            ValueError: no such file, or not one that ``write`` wrote.
        """
        return read_results(path, {cls.FORMAT: cls.from_dict})


def write_results(path: Path, content: Mapping[str, Any], page: str) -> None:
    """Write what was measured as ``path.json``, and as ``path.md`` for people."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.with_name(f"{path.name}.json").write_text(json.dumps(content, indent=1) + "\n")
    path.with_name(f"{path.name}.md").write_text(page)


def read_results(path: Path, parsers: Mapping[str, Callable[[Mapping[str, Any]], T]]) -> T:
    """Read JSON of one of some formats, by its name.

    Raises:
        ValueError: no such file, another format, or a field too many or too few.
    """
    expected = f"{path}: expected results that python -m bench wrote"
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise ValueError(f"{expected}; got {error}") from None
    if not isinstance(found, dict) or found.get("format") not in parsers:
        raise ValueError(f"{expected}; got another kind of JSON")
    try:
        return parsers[found["format"]](found)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{expected}; got one that lacks or adds {error}") from None
