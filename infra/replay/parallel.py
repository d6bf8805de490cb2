"""Work on many things with a few threads."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import Any


def each[A, B](
    work: Callable[[A], B], things: Iterable[A], concurrency: int, done: Callable[[B], Any] = lambda _: None
) -> list[B]:
    """The results, in the order of the things. `done` is called in this thread, as they come.

    At the first error, and at Ctrl-C, what has not begun is dropped, and what has begun is not waited for.
    """
    pool = ThreadPoolExecutor(concurrency)
    try:
        futures = [pool.submit(work, thing) for thing in things]
        for future in as_completed(futures):
            done(future.result())
        return [future.result() for future in futures]
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
