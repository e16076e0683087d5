"""Building an index file out of core, in a process of its own: time and memory."""

from __future__ import annotations

import hashlib
import json
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import hashcore
from bench.out_of_core import memory, page_cache
from bench.out_of_core.child import run_module
from bench.out_of_core.codes import CODE_BYTES, map_codes
from bench.out_of_core.room import Layout
from hashcore import _core
from hashcore._files import replacing
from hashcore.cli._parse import progress_bar


@dataclass(frozen=True)
class BuildRequest:
    """What to build.

    Attributes:
        budget: ``memory_budget`` of the build.
    """

    codes: Path
    count: int
    index: Path
    layout: Layout
    budget: int
    threads: int


@dataclass
class Attempt:
    """One run of the build; a build that was stopped has several.

    Attributes:
        budget: ``memory_budget`` of the build.
        read_seconds: one plain sequential read of the codes, nothing of them cached before.
        seconds: of the build, nothing of the codes cached before; None where it was killed.
        peak_anonymous: most memory that the process alone held.
        peak_resident: most that was resident, mapped pages of the codes included.
    """

    budget: int
    threads: int
    read_seconds: float | None = None
    seconds: float | None = None
    peak_anonymous: int = 0
    peak_resident: int = 0
    finished: bool = False


@dataclass(frozen=True)
class Build:
    """What the build of an index took.

    Attributes:
        seconds: of all attempts.
        attempts: 1 unless the build was stopped.
        all_timed: whether no attempt was killed: else ``seconds`` is too little.
    """

    seconds: float
    read_seconds: float
    file_bytes: int
    bytes_per_code: float
    peak_anonymous: int
    peak_resident: int
    budget: int
    threads: int
    attempts: int
    all_timed: bool

    @property
    def reads(self) -> float:
        """Build time over the time of one sequential read of the codes."""
        return self.seconds / self.read_seconds


class Journal:
    """The attempts at an index, beside it: a finished one is not built again by a later run.

    Attempts of another engine do not count, and neither does what they left.
    """

    def __init__(self, request: BuildRequest) -> None:
        self._path = journal_path(request.index)
        self._engine = hashlib.sha256(Path(_core.__file__).read_bytes()).hexdigest()
        self.attempts: list[Attempt] = []
        found = json.loads(self._path.read_text()) if self._path.is_file() else {}
        if found.get("engine") == self._engine:
            self.attempts = [Attempt(**attempt) for attempt in found["attempts"]]
        else:
            remove_index(request.index)

    @property
    def finished(self) -> bool:
        """Whether the index is there."""
        return bool(self.attempts) and self.attempts[-1].finished

    def write(self) -> None:
        """Keep the attempts."""
        attempts = [asdict(attempt) for attempt in self.attempts]
        content = {"engine": self._engine, "attempts": attempts}
        with replacing(self._path) as stream:
            stream.write(json.dumps(content, indent=1).encode())


def journal_path(index: Path) -> Path:
    """Where the attempts at an index are kept."""
    return index.with_suffix(".build.json")


def building_path(index: Path) -> Path:
    """Where ``Index.build`` keeps what is there of an index."""
    return index.with_name(f"{index.name}.building")


def remove_index(index: Path) -> None:
    """Delete an index, whole or in parts, and its journal."""
    for path in (index, building_path(index), journal_path(index)):
        path.unlink(missing_ok=True)


def build(request: BuildRequest) -> Build:
    """Build an index in another process, or go on with it, or take up a finished one.

    Raises:
        ChildFailedError: the build failed.
    """
    journal = Journal(request)
    if not (journal.finished and request.index.is_file()):
        fields = {name: str(value) for name, value in asdict(request).items()}
        run_module(__name__, json.dumps(fields))
        journal = Journal(request)
    attempts = journal.attempts
    size = request.index.stat().st_size
    return Build(
        seconds=sum(attempt.seconds or 0 for attempt in attempts),
        read_seconds=min(a.read_seconds for a in attempts if a.read_seconds is not None),
        file_bytes=size,
        bytes_per_code=size / request.count,
        peak_anonymous=max(attempt.peak_anonymous for attempt in attempts),
        peak_resident=max(attempt.peak_resident for attempt in attempts),
        budget=attempts[-1].budget,
        threads=attempts[-1].threads,
        attempts=len(attempts),
        all_timed=all(attempt.seconds is not None for attempt in attempts),
    )


def attempt_build(request: BuildRequest) -> None:
    """Build in this process and write down what it took, also when it is stopped."""
    journal = Journal(request)
    attempt = Attempt(request.budget, request.threads)
    journal.attempts.append(attempt)
    journal.write()
    page_cache.drop(request.codes)
    attempt.read_seconds = page_cache.seconds_to_read(request.codes, request.count * CODE_BYTES)
    page_cache.drop(request.codes)
    codes = map_codes(request.codes, request.count)
    start = time.perf_counter()
    try:
        with memory.AnonymousPeak() as anonymous, progress_bar("build", "codes") as progress:
            hashcore.Index.build(
                request.index,
                codes,
                layout=request.layout,
                memory_budget=request.budget,
                threads=request.threads,
                progress=progress,
            )
        attempt.finished = True
    finally:
        attempt.seconds = time.perf_counter() - start
        attempt.peak_anonymous = anonymous.peak
        attempt.peak_resident = memory.peak_resident()
        journal.write()


def _request(text: str) -> BuildRequest:
    fields = json.loads(text)
    return BuildRequest(
        codes=Path(fields["codes"]),
        count=int(fields["count"]),
        index=Path(fields["index"]),
        layout=fields["layout"],
        budget=int(fields["budget"]),
        threads=int(fields["threads"]),
    )


if __name__ == "__main__":
    try:
        attempt_build(_request(sys.argv[1]))
    except KeyboardInterrupt:
        sys.exit(130)
    except (OSError, ValueError) as failure:
        sys.exit(f"bench.billion: {failure}")
