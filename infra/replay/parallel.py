"""Runs a function on many items with a few threads."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import Any


def each[A, B](
    work: Callable[[A], B], things: Iterable[A], concurrency: int, done: Callable[[B], Any] = lambda _: None
) -> list[B]:
    """Returns the results in the order of the items. Calls `done` in this thread as each result arrives.

    At the first error or Ctrl-C, it cancels calls that have not started and does not wait for running calls.
    """
    pool = ThreadPoolExecutor(concurrency)
    try:
        futures = [pool.submit(work, thing) for thing in things]
        for future in as_completed(futures):
            done(future.result())
        return [future.result() for future in futures]
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
