"""Codes of the rows of a Ray Dataset."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hashcore._arrays import describe
from hashcore._extras import needs
from hashcore.distributed.ray._cluster import check_at_least_one

if TYPE_CHECKING:
    from ray.data import Dataset

Encoder = Callable[[Any], NDArray[np.uint8]]
"""Takes the rows of a batch, an array or a list of texts, and gives uint8 [n, bytes]."""


def encode(
    dataset: Dataset,
    encoder: Encoder | None = None,
    *,
    column: str,
    load: Callable[[], Encoder] | None = None,
    out: str = "codes",
    batch_size: int = 1024,
    workers: int | None = None,
    num_cpus: float = 1,
    num_gpus: float = 0,
) -> Dataset:
    """Encode a column of a Dataset, in workers that stream it.

    Nothing runs until the Dataset is consumed, such as by ``build``.

    Args:
        dataset: Any Ray Dataset.
        encoder: Such as ``hasher.encode_image``; it is sent to every worker once.
        column: The column to encode, which the codes replace: the result has the others still.
        load: In place of ``encoder``, makes it in every worker, such as
            ``lambda: Hasher.load("runs/wiki/hasher", device="cuda").encode_image``.
        out: Name of the column of codes.
        batch_size: Rows that the encoder is given at a time.
        workers: How many; default as many as Ray Data finds useful.
        num_cpus: CPUs that a worker reserves.
        num_gpus: GPUs that a worker reserves.

    Returns:
        The Dataset, with codes uint8 ``[n, bytes]`` in ``out``.

    Raises:
        TypeError: no Dataset; the encoder, when the Dataset is consumed, gives no codes.
        ValueError: not one of ``encoder`` and ``load``, or a number below one.
    """
    with needs("ray"):
        from ray.data import ActorPoolStrategy, Dataset
    if not isinstance(dataset, Dataset):
        raise TypeError(f"dataset: expected a ray.data.Dataset; got {describe(dataset)}.")
    if (encoder is None) == (load is None):
        raise ValueError("encoder: expected one of encoder and load; got both or none.")
    check_at_least_one(batch_size, "batch_size")
    pool = (
        ActorPoolStrategy(min_size=1)
        if workers is None
        else ActorPoolStrategy(size=check_at_least_one(workers, "workers"))
    )
    return dataset.map_batches(
        _Encode,
        fn_constructor_kwargs={"encoder": encoder, "load": load, "column": column, "out": out},
        batch_size=batch_size,
        batch_format="numpy",
        compute=pool,
        num_cpus=num_cpus,
        num_gpus=num_gpus,
    )


class _Encode:
    """What a worker does with every batch."""

    def __init__(
        self,
        encoder: Encoder | None,
        load: Callable[[], Encoder] | None,
        column: str,
        out: str,
    ) -> None:
        made = encoder if load is None else load()
        if not callable(made):
            raise TypeError(f"encoder: expected something to call; got {describe(made)}.")
        self._encoder, self._column, self._out = made, column, out

    def __call__(self, batch: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        rows: Any = batch.pop(self._column)
        count = len(rows)
        if rows.dtype.kind in "OU":
            rows = rows.tolist()
        elif not rows.flags.writeable:
            rows = rows.copy()  # PyTorch warns of arrays that it could not write to
        codes = self._encoder(rows)
        if (
            not isinstance(codes, np.ndarray)
            or codes.dtype != np.uint8
            or codes.ndim != 2
            or len(codes) != count
        ):
            raise TypeError(
                f"encoder: expected codes, uint8 [{count}, bytes]; got {describe(codes)}."
            )
        return {**batch, self._out: codes}
