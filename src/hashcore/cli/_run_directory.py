"""A run directory: the hasher, the split and the options that made it."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hashcore._files import replacing
from hashcore.data import CrossModalDataset, Split, load

if TYPE_CHECKING:
    from hashcore.train import Hasher

RUNS = Path("runs")
_RECORD = "run.json"
_SPLIT = "split.json"
_HASHER = "hasher"
_FORMAT = "hashcore.run"


@dataclass(frozen=True)
class Source:
    """Where a data set comes from.

    Attributes:
        name: name in `hashcore.data.DATASETS`.
        path: absolute path of its file or folder; None where it is generated.
        options: options of the loader.
    """

    name: str
    path: str | None
    options: dict[str, Any]

    @classmethod
    def of(cls, name: str, path: Path | None, **options: Any) -> Source:
        """A source; options that are None are left out."""
        given = {key: value for key, value in options.items() if value is not None}
        return cls(name, None if path is None else str(path.absolute()), given)

    def moved_to(self, path: Path | None) -> Source:
        """The same at another path; unchanged for None."""
        return self if path is None else dataclasses.replace(self, path=str(path.absolute()))

    def load(self) -> CrossModalDataset:
        """The data set."""
        return load(self.name, self.path, **self.options)


def write_run(
    directory: Path, hasher: Hasher, split: Split, source: Source, settings: dict[str, Any]
) -> None:
    """Write a run; its record comes last, so that a run that can be found is whole."""
    directory.mkdir(parents=True, exist_ok=True)
    hasher.save(directory / _HASHER)
    split.save(directory / _SPLIT)
    record = {
        "format": _FORMAT,
        "version": 1,
        "method": hasher.method,
        "bits": hasher.bits,
        "source": dataclasses.asdict(source),
        "settings": settings,
    }
    with replacing(directory / _RECORD) as stream:
        stream.write((json.dumps(record, indent=2, default=str) + "\n").encode())


def read_source(directory: Path) -> Source:
    """Where the data of a run came from.

    Raises:
        FileNotFoundError: there is no run.
        ValueError: its record is foreign or damaged.
    """
    return _read(directory)[0]


def read_settings(directory: Path) -> dict[str, Any]:
    """The settings of a run's trainer and method, nested; raises as `read_source`."""
    return _read(directory)[1]


def _read(directory: Path) -> tuple[Source, dict[str, Any]]:
    file = directory / _RECORD
    if not file.is_file():
        raise FileNotFoundError(
            f"{directory}: no run there (no {_RECORD}); hashcore train --out {directory} makes one"
        )
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
        if record["format"] != _FORMAT or record["version"] != 1:
            raise ValueError("format")
        return Source(**record["source"]), dict(record["settings"])
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{file}: not the record of a hashcore run (version 1)") from error


def open_data(
    directory: Path, path: Path | None, known: dict[str, CrossModalDataset] | None = None
) -> tuple[Source, CrossModalDataset]:
    """Where the data of a run lie, and the data, with the split that was trained on.

    Args:
        directory: of the run.
        path: file or folder of the data set, where it has moved; else None.
        known: data sets that other runs have opened, which are taken, and added to.

    Raises:
        ValueError: the data have another split.
    """
    source = read_source(directory).moved_to(path)
    opened = {} if known is None else known
    dataset = opened.get(repr(source)) or opened.setdefault(repr(source), source.load())
    if dataset.split != read_split(directory):
        raise ValueError(
            f"{directory}: the split of the data is not the one that was trained on; "
            "another file, or another version of it?"
        )
    return source, dataset


def read_split(directory: Path) -> Split:
    """The split of a run."""
    return Split.load(directory / _SPLIT)


def load_hasher(path: Path, device: str) -> Hasher:
    """The hasher of a run directory, or of its own directory."""
    from hashcore.train import Hasher

    return Hasher.load(hasher_directory(path), device=device)


def hasher_directory(path: Path) -> Path:
    """Where the hasher of a run directory lies; `path` itself where that is a hasher's."""
    inner = path / _HASHER if (path / _RECORD).is_file() else path
    if not inner.exists():
        raise FileNotFoundError(f"{path}: no hasher there; hashcore train --out {path} makes one")
    return inner


def newest_run() -> Path:
    """The run under `runs/` that was written last.

    Raises:
        FileNotFoundError: there is none.
    """
    records = sorted(RUNS.glob(f"*/{_RECORD}"), key=lambda file: file.stat().st_mtime)
    if not records:
        raise FileNotFoundError(f"no run under {RUNS}/; name one, or make one: hashcore train")
    return records[-1].parent
