"""Codes by the billion on one machine: ``python -m bench.billion --n 1e9``.

Draws 64-bit codes, builds an index of them out of core, and searches it where it is mapped, cold
and warm, beside a scan of the same codes that every answer is compared with. Ctrl-C leaves what is
there; the same command goes on from it.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

if not __package__:  # run as a file
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import hashcore
from bench.green import is_green
from bench.machine import machine
from bench.out_of_core import memory, page_cache
from bench.out_of_core.build import BuildRequest, build, building_path, remove_index
from bench.out_of_core.child import ROOT, ChildFailedError
from bench.out_of_core.codes import (
    CODE_BYTES,
    FLIP_STEPS,
    KINDS,
    CodeSource,
    Recipe,
    make_codes,
    map_codes,
)
from bench.out_of_core.multi_hash import MOST_CODES, PEER_BYTES_PER_CODE, measure_multi_hash
from bench.out_of_core.report import Row, build_table, row_lines, store
from bench.out_of_core.room import LAYOUTS, Layout, Room, largest_count, needed
from bench.out_of_core.search import AnswersDifferError, SearchPlan, measure_searches
from hashcore.cli._parse import progress_bar

RESULTS = Path(__file__).parent / "results"
FOLDER = ROOT / "build" / "billion"
QUICK_COUNT = 2_000_000
MOST_CODES_OF_AN_INDEX = 2**32 - 1
EXAMPLE = """example:
  python -m bench.billion --n 1e8 --codes uniform clustered --folder /mnt/fast --k 10
"""


def count_of(text: str) -> int:
    """A whole number of codes or bytes, such as 1e9."""
    value = float(text)
    if value < 1 or not value.is_integer():
        raise argparse.ArgumentTypeError(f"expected a whole number such as 1e9; got {text}")
    return int(value)


def flip_of(text: str) -> float:
    """The probability of a flip: a multiple of 1 / 256."""
    value = float(text)
    if not 0 <= value < 1 or not (value * FLIP_STEPS).is_integer():
        raise argparse.ArgumentTypeError(
            f"expected a multiple of 1/{FLIP_STEPS} below 1, such as 0.125; got {text}"
        )
    return value


def parser() -> argparse.ArgumentParser:
    """The options, their defaults and an example."""
    made = argparse.ArgumentParser(
        prog="python -m bench.billion",
        description=__doc__,
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = made.add_argument
    add("--n", type=count_of, metavar="N", help="codes, such as 1e9 (what fits, 1e9 at most)")
    add("--codes", nargs="+", choices=KINDS, metavar="KIND", help=f"{', '.join(KINDS)} (all)")
    add("--layout", choices=LAYOUTS, default="compact", help="of the index (compact)")
    add("--folder", type=Path, default=FOLDER, help="for codes and indexes (build/billion)")
    add("--k", nargs="+", type=count_of, default=[1, 10, 100], help="hits a query (1 10 100)")
    add(
        "--threads",
        nargs="+",
        type=count_of,
        default=[1, 2],
        help="to search with; the build takes the most (1 2)",
    )
    add("--queries", type=count_of, help="of sift 100 at most (100)")
    add("--cold-queries", type=count_of, help="for the cold figures (3)")
    add("--flat-queries", type=count_of, help="scanned for one by one (5)")
    add("--memory", type=count_of, metavar="BYTES", help="to build in (half of what is free)")
    add("--centres", type=count_of, help="of clustered (100,000)")
    add("--flip", type=flip_of, help="probability of a flipped bit (clustered 1/8, sift 1/16)")
    add("--faiss", action="store_true", help=f"FAISS MultiHash too, up to N={MOST_CODES:,}")
    add("--keep", action="store_true", help="leave codes and index in the folder at the end")
    add("--quick", action="store_true", help=f"N={QUICK_COUNT:,}, few queries, no results kept")
    add("--out", type=Path, metavar="FOLDER", help="for billion.json and .md (bench/results)")
    return made


@dataclass(frozen=True)
class Run:
    """One set of codes and its index in the folder."""

    source: CodeSource
    count: int
    layout: Layout
    folder: Path

    @property
    def codes_path(self) -> Path:
        """Where the codes are, or the beginning of them."""
        return self.folder / f"{self.source.name}.u64"

    @property
    def index_path(self) -> Path:
        """Where the index is."""
        return self.folder / f"{self.source.name}-{self.count}-{self.layout}.hci"

    def held(self) -> int:
        """Bytes on disk that the run would write, were they not there."""
        parts = (self.index_path, building_path(self.index_path))
        sizes = [path.stat().st_size for path in parts if path.is_file()]
        if self.codes_path.is_file():
            sizes.append(min(self.codes_path.stat().st_size, self.count * CODE_BYTES))
        return sum(sizes)

    def remove(self) -> None:
        """Delete the codes and the index."""
        remove_index(self.index_path)
        self.codes_path.unlink(missing_ok=True)
        self.codes_path.with_suffix(".json").unlink(missing_ok=True)


def room_in(folder: Path, most_memory: int | None) -> Room:
    """What is free for a run, of memory no more than is allowed."""
    there = memory.available()
    return Room(shutil.disk_usage(folder).free, min(there, most_memory or there))


def planned(source: CodeSource, options: argparse.Namespace) -> tuple[Run, int]:
    """A run that fits and the memory to build it in; says what it needs.

    Raises:
        ValueError: it does not fit.
    """
    layout, threads = options.layout, max(options.threads)
    room = room_in(options.folder, options.memory)
    earlier = sum(path.stat().st_size for path in options.folder.glob(f"{source.name}*"))
    fits = largest_count(Room(room.disk + earlier, room.memory), layout, threads)
    count = options.n or (QUICK_COUNT if options.quick else fits)
    run = Run(source, count, layout, options.folder)
    needs = needed(count, layout, threads)
    if options.faiss:
        needs = replace(needs, memory=max(needs.memory, PEER_BYTES_PER_CODE * count))
    there = Room(room.disk + run.held(), room.memory)
    title = f"{source.recipe.kind}, N = {count:,}, {layout}"
    if options.faiss and count > MOST_CODES:
        raise ValueError(f"--faiss: expected --n of at most {MOST_CODES:,}; got {count:,}")
    if count == 0 or not there.holds(needs):
        advice = f"Use --n {fits}, the largest that fits, or" if 0 < fits < count else "Use"
        raise ValueError(
            f"{title}: expected {needs} in {options.folder}; got {there}. "
            f"{advice} another --folder or more --memory."
        )
    print(f"{title}: needs at most {needs}; there are {there}", flush=True)
    return run, options.memory or max(room.memory // 2, needs.memory)


def measure(run: Run, budget: int, options: argparse.Namespace) -> Row:
    """Draw, build, search and compare."""
    available = memory.available()
    recipe = run.source.recipe
    with progress_bar(f"{recipe.kind} codes", "codes") as progress:
        make_codes(run.codes_path, run.source, run.count, progress)
    built = build(
        BuildRequest(
            run.codes_path, run.count, run.index_path, run.layout, budget, max(options.threads)
        )
    )
    few = options.quick
    queries = run.source.queries(options.queries or (10 if few else 100))
    plan = SearchPlan(
        queries,
        options.k,
        options.threads,
        cold_queries=options.cold_queries or (1 if few else 3),
        flat_queries=options.flat_queries or (1 if few else 5),
    )
    codes = map_codes(run.codes_path, run.count)
    page_cache.drop(run.codes_path)  # memory is the index's until it is scanned for
    with progress_bar("search", "parts") as progress:
        searches = measure_searches(run.index_path, codes, plan, progress)
    stats = hashcore.Index.load(run.index_path, mmap=True, verify=False).stats()
    peer, versions = None, {}
    if options.faiss:
        versions = {"faiss": version("faiss-cpu")}
        peer = measure_multi_hash(run.codes_path, run.count, queries, options.k)
    return Row(
        codes=recipe.kind,
        count=run.count,
        layout=run.layout,
        queries=len(queries),
        description=recipe.description,
        recipe=run.source.manifest,
        machine={**machine(), **versions},
        available_memory=available,
        plan={name: stats[name] for name in ("tables", "key_bits", "expected_radius")},
        build=built,
        searches=searches,
        multi_hash=peer,
    )


def sources(options: argparse.Namespace) -> Iterator[CodeSource]:
    """The codes asked for, or all kinds that can be had.

    Raises:
        FileNotFoundError: real codes that were asked for are not there.
    """
    for kind in options.codes or KINDS:
        try:
            yield CodeSource(Recipe.of(kind, options.centres, options.flip))
        except FileNotFoundError as error:
            if options.codes:
                raise
            print(f"{kind}: skipped; {error}", flush=True)


def run_all(options: argparse.Namespace) -> None:
    """Measure every kind of codes, print its figures and keep them."""
    options.folder = options.folder.resolve()  # the build runs elsewhere
    out = options.out or (None if options.quick else RESULTS)
    options.folder.mkdir(parents=True, exist_ok=True)
    for source in sources(options):
        run, budget = planned(source, options)
        row = measure(run, budget, options)
        print("\n".join(["", *build_table([row]), "", *row_lines(row), ""]), flush=True)
        if out is not None:
            store(out, row)
            print(f"Wrote {out / 'billion.json'} and billion.md", flush=True)
        if not options.keep:
            run.remove()


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure; the exit status: 130 after Ctrl-C."""
    made = parser()
    options = made.parse_args(arguments)
    if sys.platform != "linux":
        sys.exit(f"bench.billion: expected Linux, whose memory it reads; got {sys.platform}")
    if options.n and options.n > MOST_CODES_OF_AN_INDEX:
        made.error(f"--n: expected at most {MOST_CODES_OF_AN_INDEX:,}; got {options.n:,}")
    kinds = options.codes or KINDS
    if options.centres and "clustered" not in kinds:
        made.error("--centres: expected clustered among --codes")
    if options.flip is not None and list(kinds) == ["uniform"]:
        made.error("--flip: expected clustered or sift among --codes")
    try:
        if options.faiss:
            version("faiss-cpu")
        if not options.quick and not is_green(ROOT):
            sys.exit("bench.billion: the tests are red, so nothing is measured; see make test")
        run_all(options)
    except KeyboardInterrupt:
        print("bench.billion: interrupted; the same command goes on from here", file=sys.stderr)
        return 130
    except PackageNotFoundError as error:
        sys.exit(f"bench.billion: --faiss: expected the bench extra; got {error}; use make billion")
    except (OSError, ValueError, ChildFailedError, AnswersDifferError) as error:
        sys.exit(f"bench.billion: {error}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
