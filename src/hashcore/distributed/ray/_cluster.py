"""What the parts that run on Ray share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NoReturn

from hashcore._extras import needs

with needs("ray"):
    import ray
    from ray.exceptions import RayTaskError

_SECONDS_TO_STOP = 10.0


def cpus() -> int:
    """CPUs of the cluster, which is started where it is not."""
    if not ray.is_initialized():
        ray.init()
    return int(ray.cluster_resources().get("CPU", 0))


def check_at_least_one(count: int, name: str) -> int:
    """A number of something.

    Raises:
        TypeError: no integer.
        ValueError: less than one.
    """
    if not isinstance(count, int) or isinstance(count, bool):
        raise TypeError(f"{name}: expected an integer; got {type(count).__name__}.")
    if count < 1:
        raise ValueError(f"{name}: expected >= 1; got {count}.")
    return count


def raise_cause(error: BaseException) -> NoReturn:
    """Raise what went wrong in a worker as if it had happened here."""
    cause = error
    while isinstance(cause, RayTaskError) and isinstance(cause.cause, Exception):
        cause = cause.cause
    raise cause from (None if cause is error else error)


def in_parallel(starts: Iterable[Callable[[], Any]], at_once: int) -> Iterator[Any]:
    """Results of tasks as they end. On any error, Ctrl-C included, the others are stopped.

    Args:
        starts: Each starts a task and returns its reference.
        at_once: How many are under way, or wait, at a time.
    """
    pending: list[Any] = []
    try:
        for start in starts:
            if len(pending) >= at_once:
                ended, pending = ray.wait(pending)
                yield from ray.get(ended)
            pending.append(start())
        while pending:
            ended, pending = ray.wait(pending)
            yield from ray.get(ended)
    except RayTaskError as error:
        raise_cause(error)
    finally:
        for task in pending:
            ray.cancel(task)
        if pending:
            ray.wait(pending, num_returns=len(pending), timeout=_SECONDS_TO_STOP)
