"""The demo: learn codes, hide unseen pairs among random codes, find them, and check it all."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

import hashcore
from hashcore import metrics
from hashcore.data import CrossModalDataset, load
from hashcore.methods import METHODS, BranchConfig
from hashcore.ops.hamming_knn import hamming_knn_reference
from hashcore.report.answers import Answer, find
from hashcore.report.baseline import cca_sign
from hashcore.report.config import DemoConfig
from hashcore.report.result import DemoResult, Direction, Quality, SearchCheck
from hashcore.train import Hasher, TrainConfig, fit

Codes = NDArray[np.uint8]
Say = Callable[[str], None]

_CHECKED_QUERIES = 16
_K = 10
_CAPTIONS_SHOWN, _PICTURES_EACH = 8, 8
_IMAGES_SHOWN, _CAPTIONS_EACH = 6, 5
_HISTOGRAM_QUERIES = 64


@dataclass(frozen=True)
class Coded:
    """Codes of all N pairs, uint8 [N, B] each."""

    image: Codes
    text: Codes


@dataclass(frozen=True)
class Haystack:
    """One modality of the unseen pairs, then the distractors, in an index.

    Ids of pairs are rows of the data set; distractors follow from `first_distractor` on, so that
    ids ascend with the positions.
    """

    index: hashcore.Index
    codes: Codes  # [N, B]
    ids: NDArray[np.int64]  # [N]
    first_distractor: int


@dataclass(frozen=True)
class Prepared:
    """All that is searched and measured."""

    config: DemoConfig
    dataset: CrossModalDataset
    trained: Coded
    untrained: Coded
    images: Haystack
    captions: Haystack


class Clock:
    """Seconds of named steps, in their order."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Add the time of the block to `name`."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start


def run(
    config: DemoConfig, say: Say, *, progress: bool = True
) -> tuple[DemoResult, CrossModalDataset]:
    """Run the demo.

    Args:
        config: sizes, method and seed; `sized` is applied.
        say: takes lines about what happened.
        progress: show progress bars on stderr.

    Returns:
        The result and the data set that its rows are of.
    """
    config, clock = config.sized(), Clock()
    with clock.step("data"):
        dataset = load("shapes", pairs=config.pairs, seed=config.seed)
    say(dataset.describe())
    with clock.step("train"):
        hasher = _train(config, dataset, progress)
    say(f"trained {config.method} for {config.epochs} epochs in {clock.seconds['train']:.1f} s")
    with clock.step("encode"):
        trained = Coded(hasher.encode_image(dataset.image), hasher.encode_text(dataset.text))
    with clock.step("CCA + sign"):
        train, bits = dataset.split.train, hasher.bits
        untrained = Coded(*cca_sign(dataset.image, dataset.text, train, bits, seed=config.seed))
    with clock.step("index"):
        distractors = _distractors(config, bits)
        images = _hide(trained.image, dataset, distractors, bits)
        captions = _hide(trained.text, dataset, distractors, bits)
    say(f"index: {len(images.index):,} codes of {bits} bits, {len(distractors):,} distractors")
    found = _find(Prepared(config, dataset, trained, untrained, images, captions), clock)
    return found, dataset


def _find(ready: Prepared, clock: Clock) -> DemoResult:
    """Search both haystacks, check and measure."""
    config, dataset, trained = ready.config, ready.dataset, ready.trained
    images, captions = ready.images, ready.captions
    query = dataset.split.query
    search = _check(((images, trained.text[query]), (captions, trained.image[query])))
    with clock.step("measure"):
        directions = (
            _measure("text -> image", dataset, images, trained, ready.untrained),
            _measure(
                "image -> text", dataset, captions, _turned(trained), _turned(ready.untrained)
            ),
        )
    return DemoResult(
        method=config.method,
        bits=images.index.bits,
        seed=config.seed,
        quick=config.quick,
        epochs=config.epochs,
        data=dataset.describe(),
        split_hash=dataset.split.hash,
        train_rows=dataset.split.train.size,
        unseen_rows=query.size,
        distractors=config.distractors,
        directions=directions,
        search=search,
        captions_answered=_answers(
            images, trained.text, dataset, queries=_CAPTIONS_SHOWN, hits=_PICTURES_EACH
        ),
        images_answered=_answers(
            captions, trained.image, dataset, queries=_IMAGES_SHOWN, hits=_CAPTIONS_EACH
        ),
        seconds=clock.seconds,
        environment=_environment(),
    )


def _method_config(method: str) -> Any:
    """Networks small enough for one core and a minute; DTH without its slower intra term."""
    branch = BranchConfig(hidden=(256,), pixel_channels=(16, 32, 64), token_windows=(1, 2))
    config: Any = METHODS[method].config
    return config(branch=branch, intra=0.0) if method == "dth" else config(branch=branch)


@contextmanager
def _one_thread() -> Iterator[None]:
    """PyTorch on one thread, for a while.

    For networks this small a second thread gains little, and where the cores are shared it loses
    much: every operation waits for the slower one.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _train(config: DemoConfig, dataset: CrossModalDataset, progress: bool) -> Hasher:
    if config.method not in METHODS:
        raise ValueError(f'--method: expected one of {", ".join(METHODS)}; got "{config.method}"')
    train = TrainConfig(
        epochs=config.epochs,
        batch_size=64,
        lr=2e-3,
        seed=config.seed,
        selection="last",
        validation=0.0,
        device=config.device,
        progress=progress,
    )
    try:
        with _one_thread():
            return fit(dataset, config.method, config.bits, _method_config(config.method), train)
    except KeyboardInterrupt as stop:
        raise KeyboardInterrupt("the trainer has said so") from stop


def _turned(coded: Coded) -> Coded:
    """Images and texts exchanged: `image -> text` is `text -> image` of these."""
    return Coded(image=coded.text, text=coded.image)


def _distractors(config: DemoConfig, bits: int) -> Codes:
    rng = np.random.default_rng([config.seed, 1])
    codes = rng.integers(0, 256, (config.distractors, (bits + 7) // 8), dtype=np.uint8)
    if bits % 8:
        codes[:, -1] &= 0xFF << (8 - bits % 8) & 0xFF
    return codes


def _hide(codes: Codes, dataset: CrossModalDataset, distractors: Codes, bits: int) -> Haystack:
    rows = np.sort(dataset.split.query)
    first = max(1_000_000, len(dataset))
    ids = np.concatenate([rows, np.arange(first, first + len(distractors))])
    hay = np.concatenate([codes[rows], distractors])
    index = hashcore.Index(bits, "flat")
    index.add(hay, ids)
    return Haystack(index, hay, ids, first)


def _check(searches: tuple[tuple[Haystack, Codes], ...]) -> SearchCheck:
    """The engine and the plain PyTorch reference on the same queries, timed and compared."""
    engine_seconds = reference_seconds = 0.0
    identical, queries = True, 0
    for hay, codes in searches:
        asked = codes[:_CHECKED_QUERIES]
        times = []
        for _ in range(3):
            start = time.perf_counter()
            found = hay.index.search(asked, _K)
            times.append(time.perf_counter() - start)
        start = time.perf_counter()
        distances, positions = hamming_knn_reference(
            torch.from_numpy(hay.codes), torch.from_numpy(asked), _K, bits=hay.index.bits
        )
        reference_seconds += time.perf_counter() - start
        engine_seconds += min(times)
        queries += len(asked)
        expected = np.where(positions >= 0, hay.ids[positions.numpy()], -1)
        identical &= np.array_equal(found.distances, distances.numpy())
        identical &= np.array_equal(found.ids, expected)
    codes_searched = len(searches[0][0].index)
    return SearchCheck(codes_searched, queries, _K, engine_seconds, reference_seconds, identical)


def _measure(
    name: str, dataset: CrossModalDataset, hay: Haystack, trained: Coded, untrained: Coded
) -> Direction:
    """The quality of texts that search images."""
    query, labels = dataset.split.query, dataset.labels
    asked = trained.text[query]
    relevant = _shares_a_class(labels[query], labels[query])  # [Q, Q]
    distances = hashcore.pairwise(asked, trained.image[query])
    found = hay.index.search(asked, _K)
    rows = np.where((found.ids >= 0) & (found.ids < hay.first_distractor), found.ids, 0)
    shares = np.einsum("qc,qkc->qk", labels[query].astype(int), labels[rows].astype(int)) > 0
    hits = shares & (found.ids >= 0) & (found.ids < hay.first_distractor)
    bits, pairs = hay.index.bits, len(query)
    histogram = hashcore.distance_histogram(hay.codes[pairs:], asked[:_HISTOGRAM_QUERIES])
    protocols = metrics.Protocol("unseen", name), metrics.Protocol("encoded", name)
    unseen = _evaluate(trained, dataset, protocols[0], bits)
    return Direction(
        name=name,
        chance=unseen.chance,
        untrained=_quality(_evaluate(untrained, dataset, protocols[0], bits)),
        trained=_quality(unseen),
        encoded=_quality(_evaluate(trained, dataset, protocols[1], bits)),
        precision_among_distractors=float(hits.mean()),
        relevant=_normalised(np.bincount(distances[relevant], minlength=bits + 1)),
        irrelevant=_normalised(np.bincount(distances[~relevant], minlength=bits + 1)),
        distractors=_normalised(histogram.sum(axis=0)[: bits + 1]),
    )


def _evaluate(
    coded: Coded,
    dataset: CrossModalDataset,
    protocol: metrics.Protocol,
    bits: int,
) -> metrics.Report:
    query, labels = dataset.split.query, dataset.labels
    database = query if protocol.database == "unseen" else dataset.split.database
    return metrics.evaluate(
        coded.text[query],
        coded.image[database],
        labels[query],
        labels[database],
        topn=(10,),
        ndcg_at=(10,),
        protocol=protocol,
        bits=bits,
    )


def _quality(report: metrics.Report) -> Quality:
    return Quality(
        map_tie_aware=report.map_tie_aware,
        map_by_id=report.map_by_id,
        precision_at_10=report.precision_at[10],
        ndcg_at_10=report.ndcg_at[10],
        curve=report.pr_micro,
    )


def _answers(
    hay: Haystack, codes: Codes, dataset: CrossModalDataset, *, queries: int, hits: int
) -> tuple[Answer, ...]:
    rows = dataset.split.query[:queries]
    first = hay.first_distractor
    return find(hay.index, codes[rows], rows, dataset, hits=hits, first_distractor=first)


def _shares_a_class(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> NDArray[np.bool_]:
    return np.asarray(a.astype(np.float32) @ b.astype(np.float32).T > 0)


def _normalised(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    return counts / max(int(counts.sum()), 1)


def _environment() -> dict[str, Any]:
    return {
        "instruction set": hashcore.isa(),
        "threads": f"engine {hashcore.num_threads()}, PyTorch {torch.get_num_threads()}",
        "versions": (
            f"hashcore {hashcore.__version__}, PyTorch {torch.__version__}, NumPy {np.__version__}"
        ),
    }
