"""Takes a backup: all items of all tables of a shop, in a directory."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from datetime import datetime
from pathlib import Path
from typing import Any

from infra.operator import target
from infra.operator.backup import files, quiet
from infra.operator.backup.files import FORMAT, File, Item, Manifest, TableFiles
from infra.operator.backup.mark import Marks, State, is_mark
from infra.operator.backup.tables import Table, find_tables, scan
from infra.operator.parts import parts_of
from infra.operator.target import Target
from infra.trouble import Trouble
from mercato.clock import utc_now

_AT_ONCE = 8

Progress = Callable[[int], None]


def take(
    shop: Target,
    directory: Path,
    release: str,
    *,
    live: bool,
    progress: Progress = lambda _: None,
    watch: Callable[..., quiet.Look] = quiet.watch,
) -> Manifest:
    """Raises Trouble, and leaves no directory, if the shop is not quiet, unless `live`."""
    parts, dynamodb = parts_of(shop), target.client(shop, "dynamodb")
    tables = find_tables(dynamodb, parts)
    _require_no_restore(dynamodb, tables)
    with files.draft(directory) as drafted:
        before = watch(shop, parts)
        if before.under_way and not live:
            raise _not_quiet(shop, before.under_way)
        begun_at = utc_now()
        copy = _Copy(dynamodb, drafted, begun_at, progress)
        copied = copy.take(tables)
        after = watch(shop, parts, before.journal)
        changed = (*before.under_way, *after.under_way, *(["events were written"] if copy.has_new_events else []))
        if changed and not live:
            raise _not_quiet(shop, changed)
        manifest = Manifest(
            format=FORMAT,
            shop=shop.stack,
            region=shop.region,
            release=release,
            begun_at=begun_at,
            ended_at=utc_now(),
            is_quiet=not changed,
            tables=tuple(copied),
        )
        files.write_manifest(drafted, manifest)
    return manifest


def _require_no_restore(dynamodb: Any, tables: Iterable[Table]) -> None:
    mark = Marks(dynamodb, audit_table(tables).name).read()
    if mark and mark.state is not State.COMPLETE:
        raise Trouble("a restore into this shop is not complete", "Run the same `mercato restore` again until it is.")


def audit_table(tables: Iterable[Table]) -> Table:
    return next(table for table in tables if table.path.endswith("AuditTable"))


def _not_quiet(shop: Target, under_way: Sequence[str]) -> Trouble:
    return Trouble(
        f"{shop.stack} is at work: {'; '.join(under_way[:8])}",
        "The tables of its backup would not agree with each other. Wait until the work is done (docs/runbook.md, "
        '"A backup"), or take it with --live, and read there what that means for a restore.',
    )


class _Copy:
    """`has_new_events`: an item was read whose event is younger than the backup's begin."""

    def __init__(self, dynamodb: Any, directory: Path, begun_at: datetime, progress: Progress) -> None:
        self.has_new_events = False
        self._dynamodb = dynamodb
        self._directory = directory
        self._begun_at = begun_at
        self._progress = progress
        self._lock = threading.Lock()
        self._is_over = False

    def take(self, tables: Iterable[Table]) -> list[TableFiles]:
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            running = [
                (table, [pool.submit(self._segment, table, number) for number in range(table.segments)])
                for table in tables
            ]
            try:
                for one in wait((one for _, some in running for one in some), return_when=FIRST_EXCEPTION).done:
                    one.result()
            except BaseException:
                self._is_over = True  # the others need not read their tables to the end
                pool.shutdown(cancel_futures=True)
                raise
        return [
            TableFiles(path=table.path, keys=table.keys, files=tuple(one.result() for one in segments))
            for table, segments in running
        ]

    def _segment(self, table: Table, number: int) -> File:
        writer = files.Writer(self._directory, f"{table.path.replace('/', '.')}.{number}.json.gz")
        try:
            for item in scan(self._dynamodb, table, number, table.segments):
                if self._is_over:
                    break
                if is_mark(item):
                    continue
                writer.write(item)
                if "event" in item and _time_of(item) >= self._begun_at:
                    self.has_new_events = True
                with self._lock:
                    self._progress(1)
        finally:
            written = writer.close()
        return written


def _time_of(item: Item) -> datetime:
    return datetime.fromisoformat(json.loads(item["event"]["S"])["time"])
