"""Restores a backup into a shop that has no data of its own.

1. The backup and the shop are checked. Nothing is written until all checks have passed.
2. The shop is closed: no function of it runs. A mark in its audit table says which restore it is in.
3. The tables are written, and read back and compared with the backup.
4. The shop is opened, and the sagas of its orders are started.

Each step is idempotent. A run that was interrupted is repeated with the same command; until it has succeeded, the shop
stays closed.
"""

from __future__ import annotations

import hashlib
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from itertools import batched
from pathlib import Path
from typing import Any

from infra.operator import target
from infra.operator.backup import closing, files
from infra.operator.backup.files import File, Item, Manifest, TableFiles
from infra.operator.backup.mark import Mark, Marks, State, is_mark
from infra.operator.backup.sagas import start_sagas
from infra.operator.backup.tables import Sum, Table, Writes, by_path, find_tables, is_expired, key_digest, scan, sum_of
from infra.operator.backup.take import audit_table
from infra.operator.parts import parts_of
from infra.operator.target import Target
from infra.trouble import Trouble
from mercato.clock import epoch, utc_now

_AT_ONCE = 8
_ITEMS_PER_STEP = 500  # of the progress
_AGAIN = "Run the same command again; it continues where it was. Until then the shop stays closed."

Progress = Callable[[int], None]


@dataclass(frozen=True)
class Job:
    """One table of the backup, and the table that it goes into."""

    files: TableFiles
    table: Table


@dataclass
class Outcome:
    """`written` items by table, `expired` ones that were left out, and the sagas that were started, by order state."""

    was_complete: bool = False
    written: Counter[str] = field(default_factory=Counter)
    expired: int = 0
    sagas: Counter[str] = field(default_factory=Counter)


class Restore:
    """Checks the backup and the shop when it is made. Raises Trouble where they do not fit."""

    def __init__(self, shop: Target, directory: Path, sleep: Callable[[float], None] | None = None) -> None:
        self.manifest = files.read_manifest(directory)
        files.check(directory, self.manifest)
        self._shop = shop
        self._directory = directory
        self._digest = hashlib.sha256(self.manifest.model_dump_json().encode()).hexdigest()
        self._dynamodb = target.client(shop, "dynamodb")
        self._tables = find_tables(self._dynamodb, parts_of(shop))
        self.jobs = _fit(self.manifest, self._tables)
        self._marks = Marks(self._dynamodb, audit_table(self._tables).name)
        self._sleep = {"sleep": sleep} if sleep else {}
        self.mark = self._marks.read()
        if self.mark is None:
            for table in self._tables:
                self._require_unused(table)
        elif self.mark.backup != self._digest:
            raise Trouble(
                f"{shop.stack} has been restored from another backup ({self.mark.state})",
                "Restore this one into a shop that was deployed and never used.",
            )

    def run(self, progress: Progress = lambda _: None) -> Outcome:
        """Raises Trouble, and leaves the shop closed, where it cannot be completed. Idempotent."""
        outcome = Outcome(was_complete=self.mark is not None and self.mark.state is State.COMPLETE)
        if outcome.was_complete:
            return outcome
        mark = self._marks.begin(self._digest, closing.read_concurrency(self._shop))
        if mark.state is State.BEGUN:
            closing.close(self._shop, mark.functions)
            self._write(mark, outcome, progress)
            self._marks.advance(mark, State.WRITTEN)
        closing.open_again(self._shop, mark.functions)
        outcome.sagas = start_sagas(self._shop)
        self._marks.advance(mark, State.COMPLETE)
        return outcome

    def _write(self, mark: Mark, outcome: Outcome, progress: Progress) -> None:
        writes = Writes(self._dynamodb, lambda: self._marks.require(mark), **self._sleep)
        jobs = {job.table.path: job for job in self.jobs}
        try:
            for table in self._tables:
                self._clear(table, jobs.get(table.path), writes)
        except NotUnused:
            if self.mark is None:  # this run began the restore, and nothing is written yet
                closing.open_again(self._shop, mark.functions)
                self._marks.withdraw(mark)
            raise
        now, lock = epoch(utc_now()), threading.Lock()

        def write(job: Job, file: File) -> None:
            for items in batched(self._live(file, now), _ITEMS_PER_STEP, strict=False):
                count = writes.put(job.table, items)
                with lock:
                    outcome.written[job.files.path] += count
                    progress(count)

        _at_once(partial(write, job, file) for job in self.jobs for file in job.files.files)
        outcome.expired = self.manifest.items - outcome.written.total()
        _at_once(partial(self._compare, job) for job in self.jobs)

    def _live(self, file: File, now: int) -> Iterator[Item]:
        return (item for item in files.read_items(self._directory, file) if not is_expired(item, now))

    def _require_unused(self, table: Table) -> None:
        for item in scan(self._dynamodb, table):
            if not _is_of_itself(item):
                raise NotUnused(self._shop, table)

    def _clear(self, table: Table, job: Job | None, writes: Writes) -> None:
        """Deletes what the shop has written by itself since it was deployed."""
        ours = set[bytes]()
        if job and self.mark is not None:  # a run before this one may have written some of the items
            for file in job.files.files:
                ours |= {key_digest(table, item) for item in files.read_items(self._directory, file)}
        foreign = []
        for item in scan(self._dynamodb, table):
            if is_mark(item) or key_digest(table, item) in ours:
                continue
            if not _is_of_itself(item):
                raise NotUnused(self._shop, table)
            foreign.append(table.key_of(item))
        writes.delete(table, foreign)

    def _compare(self, job: Job) -> None:
        """Items that have expired by now may be deleted at any time, so neither side counts them."""
        now, wanted = epoch(utc_now()), Sum()
        for file in job.files.files:
            for item in self._live(file, now):
                wanted.add(item)
        found = sum_of((item for item in scan(self._dynamodb, job.table) if not is_mark(item)), now)
        if found != wanted:
            raise Trouble(
                f"{job.table.name} has {found.items} items after the restore, and the backup has {wanted.items}"
                if found.items != wanted.items
                else f"{job.table.name} differs from the backup after the restore",
                _AGAIN,
            )


class NotUnused(Trouble):
    """The shop has data of its own."""

    def __init__(self, shop: Target, table: Table) -> None:
        super().__init__(
            f"{shop.stack} is in use: its table {table.name} ({table.path}) has items that are not of the backup",
            "A backup is restored into a shop that was deployed and never used, so that it overwrites nothing: deploy "
            "another stack (docs/runbook.md). For single items, see there as well.",
        )


def _is_of_itself(item: Item) -> bool:
    """Whether an unused shop writes such items: they expire (probes, counts), or say how far a schedule has got. What
    customers and staff make is kept: accounts, products, orders.
    """
    return "ttl" in item or item["pk"].get("S", "").startswith("SWEEP#") or is_mark(item)


def _fit(manifest: Manifest, tables: Iterable[Table]) -> list[Job]:
    """The tables of the backup with those of the shop. A table that only the shop has stays empty."""
    there = by_path(tables)
    missing = [one.path for one in manifest.tables if one.path not in there]
    if missing:
        raise Trouble(
            f"the shop has no table for {', '.join(missing)}",
            f"Deploy the release that took the backup ({manifest.release}), or a newer one that has the tables.",
        )
    for one in manifest.tables:
        if there[one.path].keys != one.keys:
            raise Trouble(
                f"{one.path} has the key {', '.join(there[one.path].keys)}, and in the backup {', '.join(one.keys)}",
                f"Deploy the release that took the backup ({manifest.release}).",
            )
    return [Job(one, there[one.path]) for one in manifest.tables]


def _at_once(tasks: Iterable[Callable[[], Any]]) -> None:
    """Runs the tasks in a few threads, and raises the first error after those that run have ended."""
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        running = [pool.submit(task) for task in tasks]
        try:
            for one in running:
                one.result()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
