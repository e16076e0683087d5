"""A text store in a folder: an index file, texts as JSON lines, vectors, and a list of them.

The list, ``store.json``, names the other files and their sha256 and is replaced last, so that a
kill at any moment leaves what was saved before or what is saved now, and never some of each.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from hashcore import FormatError
from hashcore._files import replacing, sha256_of
from hashcore.compat._texts import KEPT, Text, TextStore
from hashcore.index import Index

LIST_NAME = "store.json"
_FORMAT = "hashcore.texts"
_VERSION = 1
_OWN_NAME = re.compile(r"(?:index-(\d+)\.hci|texts-(\d+)\.jsonl|vectors-(\d+)\.npy)")
_LEFT_BY_A_KILL = re.compile(
    _OWN_NAME.pattern + r"(\.\d+\.partial|\.tmp-\d+)|store\.json\.\d+\.partial"
)
_REPAIR = "Save the store again, or put the right file there."


def save(store: TextStore, path: str | os.PathLike[str]) -> None:
    """Write a store to the folder ``path``, which is made where it is missing.

    Raises:
        ValueError: metadata that JSON does not give back as they are.
        OSError: the system refused; the folder holds what it held.
    """
    folder = Path(path)
    folder.mkdir(parents=True, exist_ok=True)
    there = list(folder.iterdir())
    named = [(file, name) for file in there if (name := _OWN_NAME.fullmatch(file.name))]
    number = 1 + max((int(name[name.lastindex or 0]) for _, name in named), default=0)
    old = [file for file, _ in named]
    old += [file for file in there if _LEFT_BY_A_KILL.fullmatch(file.name)]
    with store.lock:
        store.compact()
        files = {"texts": folder / f"texts-{number}.jsonl"}
        with replacing(files["texts"]) as stream:
            stream.writelines(_lines(store))
        if store.index is not None:
            files["index"] = folder / f"index-{number}.hci"
            store.index.save(files["index"])
        if store.vectors is not None:
            files["vectors"] = folder / f"vectors-{number}.npy"
            with replacing(files["vectors"]) as stream:
                np.save(stream, store.vectors[: len(store)])
        content = {
            "format": _FORMAT,
            "version": _VERSION,
            "texts": len(store),
            "kept": store.kept,
            "kind": store.kind,
            "files": {
                what: {"name": file.name, "sha256": sha256_of(file)} for what, file in files.items()
            },
        }
        with replacing(folder / LIST_NAME) as stream:
            stream.write((json.dumps(content, indent=1) + "\n").encode())
    for file in old:
        file.unlink(missing_ok=True)


def load(
    path: str | os.PathLike[str], *, mmap: bool, verify: bool, threads: int | None
) -> TextStore:
    """Read what ``save`` wrote.

    Raises:
        FileNotFoundError: there is no store, or a file of it is missing.
        FormatError: damaged, foreign, or of another format version.
    """
    folder = Path(path)
    content = _list_of(folder)
    try:
        store = TextStore(content["kept"], content["kind"], threads)
        files = {what: folder / _own(record["name"]) for what, record in content["files"].items()}
        digests = {what: record["sha256"] for what, record in content["files"].items()}
        count, texts = int(content["texts"]), files["texts"]
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise _unfit(folder / LIST_NAME, "what save() writes", repr(error)) from None
    for what, file in files.items():
        if not file.is_file():
            raise FileNotFoundError(f"{file}: expected {what} of the store; got no file. {_REPAIR}")
        if verify and (digest := sha256_of(file)) != digests[what]:
            raise _unfit(file, f"sha256 {digests[what]}", digest)
    rows = list(_texts_of(texts))
    index = vectors = None
    if "index" in files:
        # The digest has been compared: every byte of the file is as it was written.
        index = Index.load(files["index"], mmap=mmap, verify=False, threads=threads)
    if "vectors" in files:
        vectors = np.load(files["vectors"], mmap_mode="r" if mmap else None, allow_pickle=False)
    shape = (count, 0 if index is None else index.bits)
    sizes = {"texts": len(rows), "index": 0 if index is None else len(index)}
    if set(sizes.values()) != {count}:
        raise _unfit(folder, f"{count} texts and codes", str(sizes))
    dtype = KEPT[store.kept]
    wanted = None if dtype is None or index is None else (shape, np.dtype(dtype))
    got = None if vectors is None else (vectors.shape, vectors.dtype)
    if wanted != got:
        raise _unfit(folder, f"vectors {wanted}", str(got))
    store.adopt(index, vectors, rows)
    return store


def _own(name: str) -> str:
    if not _OWN_NAME.fullmatch(name):
        raise ValueError(f"the name {name!r}")
    return name


def _lines(store: TextStore) -> Iterator[bytes]:
    for text in store.rows:
        assert text is not None  # of a store that is compact
        try:
            line = json.dumps(text._asdict(), ensure_ascii=False, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"metadata: expected what JSON can hold; got {error} in the text {text.id!r}."
            ) from None
        if json.loads(line)["metadata"] != text.metadata:
            raise ValueError(
                "metadata: expected what JSON gives back as it was (strings as keys, lists for "
                f"tuples); got {text.metadata} in the text {text.id!r}."
            )
        yield line.encode("utf-8", "surrogatepass") + b"\n"


def _texts_of(file: Path) -> Iterator[Text]:
    with file.open("rb") as stream:
        for number, line in enumerate(stream, start=1):
            try:
                text = Text(**json.loads(line.decode("utf-8", "surrogatepass")))
            except (TypeError, ValueError) as error:
                raise _unfit(file, f"a text in line {number}", str(error)) from None
            yield text


def _list_of(folder: Path) -> dict[str, Any]:
    file = folder / LIST_NAME
    try:
        content = json.loads(file.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        raise FileNotFoundError(f"{file}: expected a saved store; got none.") from None
    except ValueError as error:
        raise _unfit(file, "JSON", str(error)) from None
    if not isinstance(content, dict) or content.get("format") != _FORMAT:
        raise _unfit(file, f'JSON with the format "{_FORMAT}"', "another")
    if content.get("version") != _VERSION:
        raise _unfit(file, f"version {_VERSION}", repr(content.get("version")))
    return content


def _unfit(file: Path, expected: str, got: str) -> FormatError:
    return FormatError(f"{file}: expected {expected}; got {got}. {_REPAIR}")
