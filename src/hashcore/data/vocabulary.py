"""Words to token ids."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

PADDING = 0
UNKNOWN = 1
_FIRST_WORD = 2
_WORD = re.compile(r"\w+")


def split_words(text: str) -> list[str]:
    """Lower-case words of a text; punctuation separates and is dropped."""
    return _WORD.findall(text.lower())


@dataclass(frozen=True)
class Vocabulary:
    """A fixed list of words. Token 0 is padding, 1 an unknown word, words[i] is i + 2.

    Attributes:
        words: distinct lower-case words.
        max_length: tokens of a row; longer texts are cut, shorter ones padded at the end.

    Raises:
        ValueError: a word stands twice or could never be met by `encode`, or max_length < 1.
    """

    words: tuple[str, ...]
    max_length: int
    _ids: dict[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.max_length < 1:
            raise ValueError(f"vocabulary: max_length must be >= 1; got {self.max_length}")
        ids = {word: i + _FIRST_WORD for i, word in enumerate(self.words)}
        if len(ids) != len(self.words):
            twice = [word for word, n in Counter(self.words).items() if n > 1]
            raise ValueError(f"vocabulary: words stand there twice: {twice[:5]}")
        foreign = [word for word in self.words if split_words(word) != [word]]
        if foreign:
            raise ValueError(f"vocabulary: not single lower-case words: {foreign[:5]}")
        object.__setattr__(self, "_ids", ids)

    def __len__(self) -> int:
        """Number of token ids, padding and unknown included: the rows of an embedding."""
        return len(self.words) + _FIRST_WORD

    @classmethod
    def build(
        cls, texts: Iterable[str], *, max_length: int | None = None, min_count: int = 1
    ) -> Vocabulary:
        """Collect the words of the texts, most frequent first, equal counts by the alphabet.

        Args:
            texts: the training texts, and only those.
            max_length: tokens of a row; the longest of the texts when None.
            min_count: words seen fewer times are left out, so that they read as unknown.
        """
        counts: Counter[str] = Counter()
        longest = 1
        for text in texts:
            words = split_words(text)
            counts.update(words)
            longest = max(longest, len(words))
        kept = sorted(
            (w for w, n in counts.items() if n >= min_count), key=lambda w: (-counts[w], w)
        )
        return cls(tuple(kept), longest if max_length is None else max_length)

    def encode(self, texts: Sequence[str]) -> NDArray[np.int64]:
        """Token ids of the texts, int64 [n, max_length]."""
        if isinstance(texts, str):
            raise TypeError("vocabulary.encode: expected a list of texts; got one str")
        tokens = np.full((len(texts), self.max_length), PADDING, dtype=np.int64)  # [n, L]
        for row, text in enumerate(texts):
            ids = [self._ids.get(word, UNKNOWN) for word in split_words(text)[: self.max_length]]
            tokens[row, : len(ids)] = ids
        return tokens

    def unknown_words(self, text: str) -> list[str]:
        """The words of a text that are not in the vocabulary, in their order."""
        return [word for word in split_words(text) if word not in self._ids]

    def to_json(self) -> str:
        """The vocabulary as a JSON text."""
        return json.dumps(
            {"format": "hashcore.vocabulary", "max_length": self.max_length, "words": self.words}
        )

    @classmethod
    def from_json(cls, text: str) -> Vocabulary:
        """The vocabulary of a text written by `to_json`; ValueError for any other text."""
        try:
            document = json.loads(text)
            if document["format"] != "hashcore.vocabulary":
                raise ValueError("format")
            words, max_length = tuple(document["words"]), document["max_length"]
            if not all(isinstance(word, str) for word in words) or type(max_length) is not int:
                raise TypeError("words")
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError("not a hashcore vocabulary") from error
        return cls(words, max_length)


def is_captions(x: Any) -> bool:
    """Whether these are captions: a sequence of strings."""
    return (
        isinstance(x, Sequence)
        and not isinstance(x, str)
        and all(isinstance(caption, str) for caption in x)
    )
