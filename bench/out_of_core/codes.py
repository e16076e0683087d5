"""64-bit codes by the billion: drawn chunk by chunk from a recipe, in a file that only grows.

A chunk depends on the recipe and its number alone, so that the file of fewer codes is the beginning
of the file of more, and a run that was stopped goes on after the last whole chunk.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from bench.inputs import real_data_folder
from bench.peers import Codes

Words = NDArray[np.uint64]
Kind = Literal["uniform", "clustered", "sift"]
KINDS: tuple[Kind, ...] = get_args(Kind)

CODE_BYTES = 8
CHUNK_CODES = 1 << 20
FLIP_STEPS = 256  # flip probabilities are multiples of 1 / 256

# The 10,000 real codes stand about 6 bits from their nearest; 4 flipped bits leave them neighbours.
DEFAULT_FLIP = {"clustered": 1 / 8, "sift": 1 / 16}
DEFAULT_CENTRES = 100_000
SIFT_CODES = "sift10k_simhash64.bin"
SIFT_QUERIES = "sift100_queries_simhash64.bin"


@dataclass(frozen=True)
class Recipe:
    """What decides every code.

    Attributes:
        kind: ``uniform`` random codes; ``clustered`` around random centres; ``sift`` around the
            10,000 real simhashes of SIFT descriptors.
        centres: random centres of ``clustered``.
        flip: probability that a bit of a centre is flipped.
    """

    kind: Kind
    centres: int = 0
    flip: float = 0.0
    seed: int = 1

    @classmethod
    def of(cls, kind: Kind, centres: int | None = None, flip: float | None = None) -> Recipe:
        """The recipe of a kind, with its defaults where nothing is said."""
        if kind == "uniform":
            return cls(kind)
        many = (centres or DEFAULT_CENTRES) if kind == "clustered" else 0
        return cls(kind, many, DEFAULT_FLIP[kind] if flip is None else flip)

    @property
    def description(self) -> str:
        """The codes in words."""
        flipped = f"each bit flipped with probability {self.flip:g}"
        return {
            "uniform": "uniform random codes",
            "clustered": f"{self.centres:,} random centres, {flipped}",
            "sift": f"10,000 real SIFT simhashes, {flipped}",
        }[self.kind]


def random_flips(rng: np.random.Generator, count: int, probability: float) -> Words:
    """Words, [count], whose bits are 1 with a probability that is a multiple of 1 / 256.

    Draws a word for each binary digit of the probability, from its last: OR halves the distance of
    the share of ones to 1, AND halves the share.
    """
    digits = round(probability * FLIP_STEPS)
    words = np.zeros(count, np.uint64)
    trailing_zeros = (digits & -digits).bit_length() - 1
    for place in range(trailing_zeros, FLIP_STEPS.bit_length() - 1) if digits else ():
        drawn = rng.integers(0, 2**64, count, np.uint64)
        words = words | drawn if digits >> place & 1 else words & drawn
    return words


class CodeSource:
    """The codes and queries of a recipe.

    Raises:
        FileNotFoundError: the real codes of ``sift`` are not there.
    """

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe
        self._centres = self._load_centres()
        centres = b"" if self._centres is None else self._centres.tobytes()
        self.manifest = {
            **asdict(recipe),
            "chunk_codes": CHUNK_CODES,
            "centres_sha256": hashlib.sha256(centres).hexdigest(),
        }

    @property
    def name(self) -> str:
        """The kind and a digest of all that decides the codes, for the names of files."""
        decided = json.dumps(self.manifest, sort_keys=True)
        return f"{self.recipe.kind}-{hashlib.sha256(decided.encode()).hexdigest()[:8]}"

    def chunk(self, number: int) -> Words:
        """Codes ``number * CHUNK_CODES`` and on, uint64 [CHUNK_CODES]."""
        return self._draw(np.random.default_rng([self.recipe.seed, 1, number]), CHUNK_CODES)

    def queries(self, count: int) -> Codes:
        """Queries, uint8 [count, 8]: drawn as the codes are; of ``sift`` real ones, 100 at most."""
        if self.recipe.kind == "sift":
            return _real_words(SIFT_QUERIES)[:count].view(np.uint8).reshape(-1, CODE_BYTES)
        words = self._draw(np.random.default_rng([self.recipe.seed, 2]), count)
        return words.view(np.uint8).reshape(-1, CODE_BYTES)

    def _draw(self, rng: np.random.Generator, count: int) -> Words:
        if self._centres is None:
            return rng.integers(0, 2**64, count, np.uint64)
        drawn = self._centres[rng.integers(0, len(self._centres), count)]
        return drawn ^ random_flips(rng, count, self.recipe.flip)

    def _load_centres(self) -> Words | None:
        if self.recipe.kind == "sift":
            return _real_words(SIFT_CODES)
        if self.recipe.kind == "clustered":
            rng = np.random.default_rng([self.recipe.seed, 0])
            return rng.integers(0, 2**64, self.recipe.centres, np.uint64)
        return None


def _real_words(name: str) -> Words:
    path = real_data_folder() / name
    if not path.is_file():
        raise FileNotFoundError(
            f"{path}: no such file; set HASHCORE_DATA to the folder that holds {name}"
        )
    return np.fromfile(path, np.uint64)


def make_codes(
    path: Path, source: CodeSource, count: int, progress: Callable[[int, int], object]
) -> None:
    """Have at least ``count`` codes in a file, its manifest beside it.

    What is there of the same manifest stays; a file of another one is written anew.

    Args:
        path: raw codes, 8 bytes each.
        source: the codes.
        count: codes to have.
        progress: called with (codes there, count) after each chunk.
    """
    manifest = path.with_suffix(".json")
    content = json.dumps(source.manifest, indent=1) + "\n"
    if not manifest.is_file() or manifest.read_text() != content:
        path.unlink(missing_ok=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        manifest.write_text(content)
    there = path.stat().st_size // CODE_BYTES if path.is_file() else 0
    if there >= count:
        return
    chunks = there // CHUNK_CODES
    with path.open("ab") as file:
        file.truncate(chunks * CHUNK_CODES * CODE_BYTES)
        for number in range(chunks, -(-count // CHUNK_CODES)):
            begin = number * CHUNK_CODES
            source.chunk(number)[: count - begin].tofile(file)
            progress(min(begin + CHUNK_CODES, count), count)


def map_codes(path: Path, count: int) -> Codes:
    """The first ``count`` codes of a file, mapped: uint8 [count, 8]."""
    return np.memmap(path, np.uint8, "r", shape=(count, CODE_BYTES))
