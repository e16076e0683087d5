"""The list of an index's shards, as a file that is whole or refused."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hashcore import FormatError
from hashcore._arrays import describe
from hashcore._files import replacing
from hashcore.distributed.shard import Shard
from hashcore.search import Filter, filter_pair

MANIFEST_NAME = "shards.json"
_FORMAT = "hashcore.shards"
_VERSION = 1
_IDS_AT_A_TIME = 1 << 27


@dataclass(frozen=True)
class ShardManifest:
    """The shards of one index.

    Attributes:
        shards: At least one. Their ids may interleave; no id is in two of them, which
            ``check_ids`` makes sure of.
    """

    shards: tuple[Shard, ...]

    def __post_init__(self) -> None:
        if not self.shards:
            raise ValueError("shards: expected at least one; got none.")
        if len({shard.path for shard in self.shards}) < len(self.shards):
            raise ValueError("shards: expected different files; got one twice.")
        for shard in self.shards:
            if shard.bits != self.bits:
                raise ValueError(
                    f"{shard.path}: expected codes of {self.bits} bits, as in "
                    f"{self.shards[0].path}; got {shard.bits}."
                )

    @classmethod
    def of(cls, paths: Iterable[str | os.PathLike[str]]) -> ShardManifest:
        """Describe index files, every byte of which is checked, and their ids too.

        Raises:
            FormatError: one is not a whole index file.
            ValueError: widths that differ, or an id that is in two of them.
            OSError: the system refused.
        """
        manifest = cls(tuple(Shard.of(path) for path in paths))
        manifest.check_ids()
        return manifest

    @property
    def bits(self) -> int:
        """Width of a code."""
        return self.shards[0].bits

    @property
    def codes(self) -> int:
        """Number of codes of all shards."""
        return sum(shard.codes for shard in self.shards)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write to one JSON file, atomically: a kill leaves the old file or the new one.

        Shards beside the file or in folders there are named from there, so that all can be moved
        together.

        Raises:
            OSError: the system refused.
        """
        file = Path(path)
        body = [_record(shard, file.parent) for shard in self.shards]
        head = {"format": _FORMAT, "version": _VERSION, "sha256": _digest_of(body)}
        with replacing(file) as stream:
            stream.write((json.dumps({**head, "shards": body}, indent=1) + "\n").encode())

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, verify: bool = True) -> ShardManifest:
        """Read what ``save`` wrote and look at the shards.

        Args:
            path: The file, or a folder that ``hashcore.distributed.ray.build`` filled.
            verify: Read all shards and compare their sha256. Without it their sizes and headers
                are compared, which is quick.

        Raises:
            FileNotFoundError: there is no manifest, or a shard of it is missing.
            FormatError: truncated, damaged, foreign, or of another format version; or a shard is
                not the file that is expected.
            OSError: the system refused.
        """
        manifest = cls._read(Path(path))
        for shard in manifest.shards:
            shard.open(verify=verify)
        return manifest

    @classmethod
    def _read(cls, path: Path) -> ShardManifest:
        file = path / MANIFEST_NAME if path.is_dir() else path
        try:
            content = json.loads(file.read_bytes())
        except FileNotFoundError:
            raise FileNotFoundError(f"{file}: expected a manifest of shards; got none.") from None
        except ValueError as error:
            raise _unfit(file, "a manifest of shards in JSON", str(error)) from None
        if not isinstance(content, dict) or content.get("format") != _FORMAT:
            raise _unfit(file, f'JSON with the format "{_FORMAT}"', "another")
        if content.get("version") != _VERSION:
            raise _unfit(file, f"version {_VERSION}", repr(content.get("version")))
        body: Any = content.get("shards")
        digest = _digest_of(body)
        if content.get("sha256") != digest:
            raise _unfit(file, f"shards of sha256 {content.get('sha256')}", digest)
        try:
            return cls(tuple(_shard(record, file.parent) for record in body))
        except (KeyError, TypeError, ValueError) as error:
            raise _unfit(file, "shards as ShardManifest.save writes them", str(error)) from None

    def check_ids(self) -> None:
        """Make sure that no id is in two shards; where id ranges are apart, nothing is read.

        Raises:
            ValueError: an id is in two of them.
        """
        mixed = [shard for shard in self.shards if self._beside(shard)]
        passes = -(-sum(shard.codes for shard in mixed) // _IDS_AT_A_TIME)
        for number in range(passes):  # a share of the ids at a time: those of one remainder
            ids = np.sort(
                np.concatenate([part[part % passes == number] for part in _ids_of(mixed)])
            )
            twice = ids[1:][ids[1:] == ids[:-1]]
            if len(twice):
                where = [s.path for s in mixed if twice[0] in s.open(verify=False)]
                raise ValueError(
                    f"ids: expected each in one shard; got {twice[0]} in {where[0]} and {where[1]}."
                )

    def filter_of(self, shard: int, filter: Filter | None) -> Filter | None:
        """A filter of the whole index as one of the codes of shard number ``shard``.

        Ids stay as they are. Of a mask, which has one bool a code of the whole index in ascending
        id order, the shard's codes are cut out.

        Raises:
            TypeError: no ``Filter``, or a mask that is not bool.
            ValueError: a mask of another length than the index.
        """
        mask = self.checked_mask(filter)
        return filter if mask is None else Filter.mask(mask[self.places(shard)])

    def checked_mask(self, filter: Filter | None) -> NDArray[np.bool_] | None:
        """The mask of a filter of the whole index; None of others. Raises as ``filter_of``."""
        kind, mask = filter_pair(filter) or (None, None)
        if mask is None or kind != "mask":
            return None
        if getattr(mask, "dtype", None) != np.bool_ or mask.shape != (self.codes,):
            error = ValueError if getattr(mask, "dtype", None) == np.bool_ else TypeError
            raise error(f"filter: expected bool [{self.codes}], one a code; got {describe(mask)}.")
        return mask

    def places(self, shard: int) -> slice | NDArray[np.int64]:
        """Where the codes of shard number ``shard`` stand among all codes in ascending id order.

        Where the ids of other shards interleave with this one's, they are read.
        """
        this = self.shards[shard]
        if this.first_id is None:
            return slice(0, 0)
        before = sum(other.codes for other in self.shards if _ends_before(other, this))
        mixed = self._beside(this)
        if not mixed:
            return slice(before, before + this.codes)
        ids = this.open(verify=False).ids
        places = np.arange(before, before + len(ids))
        for others in _ids_of(mixed):
            places += np.searchsorted(others, ids)
        return places

    def _beside(self, shard: Shard) -> list[Shard]:
        """Other shards whose ids interleave with this one's."""
        return [
            other
            for other in self.shards
            if other is not shard
            and shard.codes
            and other.codes
            and not _ends_before(other, shard)
            and not _ends_before(shard, other)
        ]


def _ends_before(shard: Shard, other: Shard) -> bool:
    """Whether all ids of a shard are below all of the other."""
    if shard.last_id is None or other.first_id is None:
        return False
    return shard.last_id < other.first_id


def _ids_of(shards: Iterable[Shard]) -> Iterator[NDArray[np.int64]]:
    """The ids of each, of one after the other."""
    for shard in shards:
        yield shard.open(verify=False).ids


def _digest_of(body: Any) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


def _unfit(file: Path, expected: str, got: str) -> FormatError:
    return FormatError(f"{file}: expected {expected}; got {got}. Build or save it again.")


def _record(shard: Shard, folder: Path) -> dict[str, Any]:
    path, base = shard.path, Path(os.path.abspath(folder))
    inside = path.is_relative_to(base)
    return {
        "path": str(path.relative_to(base) if inside else path),
        "bits": shard.bits,
        "codes": shard.codes,
        "ids": None if shard.first_id is None else [shard.first_id, shard.last_id],
        "bytes": shard.nbytes,
        "sha256": shard.sha256,
    }


def _shard(record: dict[str, Any], folder: Path) -> Shard:
    first, last = record["ids"] or (None, None)
    return Shard(
        path=folder / record["path"],
        bits=record["bits"],
        codes=record["codes"],
        first_id=first,
        last_id=last,
        nbytes=record["bytes"],
        sha256=record["sha256"],
    )
