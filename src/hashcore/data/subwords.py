"""Texts as sub-words of a published text model."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hashcore.data.vocabulary import PADDING, Vocabulary

if TYPE_CHECKING:
    from hashcore.data.dataset import CrossModalDataset

_FORMAT = "hashcore.subwords"


class Subwords:
    """The tokenizer of a text model. Token 0 is padding, its id i is i + 1.

    Attributes:
        max_length: tokens of a row; longer texts are cut, shorter ones padded at the end.
    """

    def __init__(self, tokenizer: str, max_length: int) -> None:
        """A tokenizer from its description.

        Args:
            tokenizer: the content of a `tokenizer.json`, as the package tokenizers writes it.
            max_length: tokens of a row.

        Raises:
            ValueError: not such a description, or max_length < 1.
            ModuleNotFoundError: the package tokenizers is missing.
        """
        from tokenizers import Tokenizer

        if max_length < 1:
            raise ValueError(f"subwords: max_length must be >= 1; got {max_length}")
        self.max_length, self._description = max_length, tokenizer
        try:
            self._tokenizer: Any = Tokenizer.from_str(tokenizer)
        except Exception as error:  # the package raises nothing narrower
            raise ValueError(f"subwords: not the description of a tokenizer: {error}") from error
        self._tokenizer.enable_truncation(max_length)
        self._tokenizer.no_padding()

    @classmethod
    def of_model(cls, model: str, max_length: int = 64) -> Subwords:
        """The tokenizer of a model of transformers: its name on the hub, or a local folder."""
        from transformers import AutoTokenizer

        return cls(AutoTokenizer.from_pretrained(model).backend_tokenizer.to_str(), max_length)

    def __len__(self) -> int:
        """Number of token ids, padding included."""
        return int(self._tokenizer.get_vocab_size()) + 1

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Subwords) and self.to_json() == other.to_json()

    def __hash__(self) -> int:
        return hash((self.max_length, self._description))

    @property
    def words(self) -> tuple[str, ...]:
        """None: any text is made of known pieces."""
        return ()

    def unknown_words(self, text: str) -> list[str]:
        """None, as above."""
        return []

    def encode(self, texts: Sequence[str]) -> NDArray[np.int64]:
        """Token ids of the texts, int64 [n, max_length]."""
        if isinstance(texts, str):
            raise TypeError("subwords.encode: expected a list of texts; got one str")
        tokens = np.full((len(texts), self.max_length), PADDING, dtype=np.int64)  # [n, L]
        for row, encoded in enumerate(self._tokenizer.encode_batch(list(texts))):
            tokens[row, : len(encoded.ids)] = np.array(encoded.ids) + 1
        return tokens

    def to_json(self) -> str:
        """The tokenizer as a JSON text."""
        return json.dumps(
            {"format": _FORMAT, "max_length": self.max_length, "tokenizer": self._description}
        )


def tokenise(dataset: CrossModalDataset, model: str, max_length: int = 64) -> CrossModalDataset:
    """The data set with its captions as sub-words of a model, for `token_model`.

    Args:
        dataset: a data set with captions.
        model: the name on the hub of a model of transformers, or a local folder.
        max_length: tokens of a row, special ones included.

    Raises:
        ValueError: the data set has no captions.
        ModuleNotFoundError: the package transformers is missing.
    """
    if not dataset.captions:
        raise ValueError(f"{dataset.name}: has no captions to make sub-words of")
    subwords = Subwords.of_model(model, max_length)
    return dataclasses.replace(
        dataset,
        text=subwords.encode(dataset.captions),
        text_transform="none",
        vocabulary=subwords,
    )


def vocabulary_from_json(text: str) -> Vocabulary | Subwords:
    """What `to_json` of either kind wrote; ValueError for any other text."""
    try:
        document = json.loads(text)
        if document["format"] == _FORMAT:
            return Subwords(document["tokenizer"], document["max_length"])
    except (KeyError, TypeError) as error:
        raise ValueError("not a hashcore vocabulary") from error
    return Vocabulary.from_json(text)
