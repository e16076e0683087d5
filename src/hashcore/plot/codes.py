"""What codes look like: distances by relevance, their bits, and a map of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, Normalize, to_rgba
from matplotlib.ticker import MaxNLocator, PercentFormatter
from numpy.typing import NDArray

from hashcore._arrays import Array, as_array, describe
from hashcore._extras import needs
from hashcore.codes import unpack
from hashcore.metrics import Protocol, relevance_counts
from hashcore.plot._style import MARKERS, axes_or_new, finish, theme
from hashcore.plot.curves import protocol_name

Shares = Iterable[tuple[str, NDArray[np.float64], str]]

_TSNE_STEPS = 500
_SEVERAL = "several classes"
_OTHER = "other classes"


def distance_histogram(
    query_codes: Array,
    database_codes: Array,
    query_labels: Array,
    database_labels: Array,
    *,
    bits: int | None = None,
    protocol: Protocol | None = None,
    ax: Axes | None = None,
) -> Axes:
    """How far relevant and irrelevant codes lie from a query.

    Args:
        query_codes: packed codes, uint8 `[Q, ceil(K / 8)]`.
        database_codes: packed codes, uint8 `[N, ceil(K / 8)]`.
        query_labels: class ids int64 `[Q]`, or multi-hot bool or uint8 `[Q, C]`.
        database_labels: the same kind, `[N]` or `[N, C]`.
        bits: the width K; whole bytes when None.
        protocol: what is searched; named in the title.
        ax: axes to draw on; a new pyplot figure when None.

    Returns:
        The axes.

    Raises:
        TypeError: as `metrics.relevance_counts`.
        ValueError: as `metrics.relevance_counts`.
    """
    shares = shares_by_relevance(
        query_codes, database_codes, query_labels, database_labels, bits=bits
    )
    ax = axes_or_new(ax)
    where = "" if protocol is None else f", {protocol_name(protocol)}"
    return distance_shares(
        [
            ("shares no class", shares[:, 0], theme().irrelevant),
            ("shares a class", shares[:, 1], theme().relevant),
        ],
        f"Distance from a query{where}",
        ax=ax,
    )


def shares_by_relevance(
    query_codes: Array,
    database_codes: Array,
    query_labels: Array,
    database_labels: Array,
    *,
    bits: int | None = None,
) -> NDArray[np.float64]:
    """Share of irrelevant and of relevant codes at each distance, float64 `[K + 1, 2]`."""
    counts = relevance_counts(
        query_codes, database_codes, query_labels, database_labels, bits=bits
    ).sum(axis=0)
    return np.asarray(counts / np.maximum(counts.sum(axis=0), 1))


def distance_shares(shares: Shares, title: str, *, ax: Axes) -> Axes:
    """Draw shares of codes by distance: a name, float64 `[K + 1]` and a colour each."""
    last = 1
    for name, share, colour in shares:
        distances = np.arange(len(share))
        last = max(last, len(share) - 1)
        ax.fill_between(distances, share, color=colour, alpha=0.18, linewidth=0)
        ax.plot(distances, share, color=colour, linewidth=2.0, label=name)
    ax.set(xlim=(0, last), ylim=(0, None))
    ax.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    return finish(ax, title, "Hamming distance, bits", "share of codes, %")


def bit_balance(codes: Array, *, bits: int | None = None, ax: Axes | None = None) -> Axes:
    """How often each bit is 1; a bit that tells the most is 1 in half of the codes.

    Args:
        codes: packed codes, uint8 `[N, ceil(K / 8)]`, at least one.
        bits: the width K; whole bytes when None.
        ax: axes to draw on; a new pyplot figure when None.

    Returns:
        The axes.

    Raises:
        TypeError: codes of another dtype.
        ValueError: no codes, or a width that does not fit them.
    """
    ones = _bits_of(codes, bits)
    share = ones.mean(axis=0)  # [K]
    ax = axes_or_new(ax)
    ax.bar(np.arange(len(share)), share, width=0.9, color=theme().series[0], linewidth=0)
    ax.axhline(0.5, color=theme().muted, linewidth=1.2, linestyle=":")
    ax.set(xlim=(-0.6, len(share) - 0.4), ylim=(0, 1))
    ax.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    constant = int(((share == 0) | (share == 1)).sum())
    found = f"{constant} constant, " if constant else ""
    title = f"Bit balance of {len(ones):,} codes\n{found}mean {share.mean():.1%} ones"
    return finish(ax, title, "bit", "codes in which the bit is 1, %")


def bit_correlation(codes: Array, *, bits: int | None = None, ax: Axes | None = None) -> Axes:
    """Pearson correlation of every two bits; a constant bit has none and stays empty.

    Args:
        codes: packed codes, uint8 `[N, ceil(K / 8)]`, at least two.
        bits: the width K; whole bytes when None.
        ax: axes to draw on, whose figure gets a colour bar; a new pyplot figure when None.

    Returns:
        The axes.

    Raises:
        TypeError: codes of another dtype.
        ValueError: fewer than two codes, or a width that does not fit them.
    """
    found = _bits_of(codes, bits, least=2)
    correlation = _correlations(found)
    ax = axes_or_new(ax)
    # Half-way between, colours vanish: what is behind shows, be it light or dark.
    negative, positive = _SIGNS
    ends = [to_rgba(negative), to_rgba(negative, 0.0), to_rgba(positive, 0.0), to_rgba(positive)]
    colours = LinearSegmentedColormap.from_list("signs", ends).with_extremes(bad=(0, 0, 0, 0))
    scale = Normalize(-1, 1)
    ax.imshow(correlation, cmap=colours, norm=scale, interpolation="nearest", origin="upper")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.yaxis.set_major_locator(MaxNLocator(integer=True))
    bar = ax.figure.colorbar(ScalarMappable(scale, colours), ax=ax, shrink=0.85)
    bar.set_label("correlation, -1 to 1")
    bar.ax.tick_params(length=0)
    bar.outline.set_visible(False)
    apart = correlation[~np.eye(len(correlation), dtype=bool)]
    apart = np.abs(apart[np.isfinite(apart)])
    size = f"mean size {apart.mean():.3f} off the diagonal" if apart.size else "no two bits vary"
    title = f"Bit correlation of {len(found):,} codes\n{size}"
    return finish(ax, title, "bit", "bit", grid=False)


_SIGNS = ("#d55e00", "#0072b2")  # seen on light and on dark, for they cannot follow a page


def _correlations(bits: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Pearson correlation of every two columns, float64 `[K, K]`; NaN where one is constant."""
    ones = bits.astype(np.float64)  # [N, K]
    ones -= ones.mean(axis=0)
    scale = np.sqrt((ones**2).sum(axis=0))
    scale[scale < 1e-9] = np.nan
    ones /= scale
    return np.asarray(np.clip(ones.T @ ones, -1, 1))


def tsne(
    codes: Array,
    labels: Array | None = None,
    *,
    bits: int | None = None,
    class_names: Sequence[str] = (),
    groups: Sequence[str] = (),
    perplexity: float = 30.0,
    seed: int = 0,
    ax: Axes | None = None,
) -> Axes:
    """A map of codes on which near ones stay together: t-SNE over exact Hamming neighbours.

    The neighbours come from `hashcore.compat.sklearn`; no matrix of all distances is made. The axes
    have no unit: t-SNE keeps neighbourhoods, not distances.

    Args:
        codes: packed codes, uint8 `[N, ceil(K / 8)]`, at least four.
        labels: class ids int64 `[N]`, or multi-hot bool `[N, C]`; the most frequent classes have
            colours. Codes of several of them are grey.
        bits: the width K; whole bytes when None.
        class_names: name of each class id or column; numbers when empty.
        groups: a word for each code, such as its modality; groups have markers.
        perplexity: neighbours that count, about; fewer where there are few codes.
        seed: of the start; the same seed gives the same map.
        ax: axes to draw on; a new pyplot figure when None.

    Returns:
        The axes.

    Raises:
        TypeError: codes or labels of another dtype.
        ValueError: too few codes, labels or groups of another length, a perplexity not above 0.
        ModuleNotFoundError: scikit-learn is missing.
    """
    rows = len(_bits_of(codes, bits, least=4))
    if groups and len(groups) != rows:
        raise ValueError(f"groups: expected a word for each of {rows} codes; got {len(groups)}")
    if not perplexity > 0:
        raise ValueError(f"perplexity: expected above 0; got {perplexity}")
    classes, names = _classes(labels, rows, class_names)
    places = _places(as_array(codes, "codes"), min(perplexity, (rows - 1) / 3), seed)
    ax = axes_or_new(ax)
    words = list(dict.fromkeys(groups)) or [""]
    of_group = np.array([words.index(word) for word in groups] or [0] * rows)
    for c, name in enumerate(names):
        mixed = name in (_SEVERAL, _OTHER)
        colour = theme().muted if mixed else theme().series[c % len(theme().series)]
        look: dict[str, Any] = {
            "color": colour,
            "s": 26,
            "linewidths": 0,
            "alpha": 0.35 if mixed else 0.85,
        }
        for g, word in enumerate(words):
            here = (classes == c) & (of_group == g)
            if here.any():
                marker = MARKERS[g % len(MARKERS)]
                found = ax.scatter(*places[here].T, marker=marker, zorder=1 if mixed else 2, **look)
                found.set_gid(", ".join(filter(None, [name, word])))
        if name and (classes == c).any():
            ax.scatter([], [], label=name, **look)
    for g, word in enumerate(filter(None, words)):
        marker = MARKERS[g % len(MARKERS)]
        ax.scatter([], [], label=word, marker=marker, s=26, color=theme().text)
    ax.set(xticks=[], yticks=[])
    title = f"t-SNE of {rows:,} codes by Hamming distance\nperplexity {perplexity:g}"
    finish(ax, title, "t-SNE 1, no unit", "t-SNE 2, no unit", grid=False)
    if ax.get_legend() is not None:
        ax.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), handletextpad=0.2)
    return ax


def _places(codes: NDArray[np.uint8], perplexity: float, seed: int) -> NDArray[np.float64]:
    """Places of the codes on the map, `[N, 2]`."""
    with needs("sklearn"):
        from sklearn.manifold import TSNE
        from threadpoolctl import threadpool_limits

    from hashcore.compat.sklearn import HammingKNeighborsTransformer

    # scikit-learn asks a precomputed graph for this many neighbours besides the code itself.
    neighbours = min(len(codes) - 1, int(3.0 * perplexity + 1))
    graph = HammingKNeighborsTransformer(n_neighbors=neighbours).fit_transform(codes)
    model = TSNE(
        metric="precomputed",
        init="random",
        perplexity=perplexity,
        max_iter=_TSNE_STEPS,
        random_state=seed,
        n_jobs=1,
    )
    with threadpool_limits(1):  # one thread adds up in one order, and codes this few need no second
        return np.asarray(model.fit_transform(graph), dtype=np.float64)


def _classes(
    labels: Array | None, rows: int, class_names: Sequence[str]
) -> tuple[NDArray[np.int64], list[str]]:
    """The place of each code in a list of names: the most frequent classes, several, others."""
    if labels is None:
        return np.zeros(rows, dtype=np.int64), [""]
    found = as_array(labels, "labels")
    if not isinstance(found, np.ndarray) or len(found) != rows or found.ndim not in (1, 2):
        raise ValueError(f"labels: expected [{rows}] or [{rows}, C]; got {describe(found)}")
    if found.ndim == 1:
        ids = np.unique(found)
        found = found[:, None] == ids
        names = [class_names[i] if class_names else str(i) for i in ids.tolist()]
    else:
        found = found.astype(bool)
        names = list(class_names) or [str(i) for i in range(found.shape[1])]
        if len(names) != found.shape[1]:
            raise ValueError(f"class_names: expected {found.shape[1]}; got {len(names)}")
    shown = np.argsort(-found.sum(axis=0), kind="stable")[: len(theme().series)]
    of_shown = found[:, shown]
    place = np.where(of_shown.any(axis=1), of_shown.argmax(axis=1), len(shown) + 1)
    place[of_shown.sum(axis=1) > 1] = len(shown)
    return place.astype(np.int64), [*(names[i] for i in shown), _SEVERAL, _OTHER]


def _bits_of(codes: Array, bits: int | None, *, least: int = 1) -> NDArray[np.uint8]:
    """The bits of codes, uint8 `[N, K]`."""
    found = as_array(codes, "codes")
    if not isinstance(found, np.ndarray) or found.ndim != 2 or found.dtype != np.uint8:
        raise TypeError(f"codes: expected packed codes, uint8 [N, bytes]; got {describe(found)}")
    if len(found) < least:
        raise ValueError(f"codes: expected at least {least}; got {len(found)}")
    return np.asarray(unpack(found, 8 * found.shape[1] if bits is None else bits)).view(np.uint8)
