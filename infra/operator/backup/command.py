"""`mercato backup` and `mercato restore`."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import FrameType

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table as Grid

from infra.operator import target
from infra.operator.backup.files import Manifest
from infra.operator.backup.restore import Outcome, Restore
from infra.operator.backup.take import take
from infra.operator.refusals import as_trouble
from infra.trouble import Trouble


@click.command()
@click.argument("directory", type=click.Path(path_type=Path))
@click.option("--live", is_flag=True, help="Take it although the shop is at work. Its tables may not agree.")
def backup(directory: Path, live: bool) -> None:
    """Copy all tables of the shop into DIRECTORY, which must not exist.

    The shop may go on. But if a message, a saga or an event was under way, the tables would not agree with each other:
    then no backup is made, unless --live. It holds customers' data, and only you may read it. Pictures, secrets and
    messages in queues are not in it: docs/runbook.md, "A backup".
    """
    console = Console(highlight=False)
    with _told(), _as_by_ctrl_c():
        shop = target.chosen()
        with as_trouble("Nothing was kept. Run the same command again."), _bar(console, "items") as bar:
            task = bar.add_task("reading", total=None)
            try:
                made = take(shop, directory, _release(), live=live, progress=lambda count: bar.advance(task, count))
            except OSError as error:
                raise Trouble(f"{directory} cannot be written: {error}", "Nothing was kept.") from error
    console.print(_of_backup(made))
    seconds = (made.ended_at - made.begun_at).total_seconds()
    console.print(f"{made.items} items in {seconds:.1f} s: {directory}", soft_wrap=True)
    if not made.is_quiet:
        console.print("[yellow]The shop was at work: after a restore, follow docs/runbook.md, “A live backup”.[/]")


@click.command()
@click.argument("directory", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--dry-run", is_flag=True, help="Check the backup and the shop, and write nothing.")
def restore(directory: Path, dry_run: bool) -> None:
    """Restore the backup in DIRECTORY into a shop that was deployed and never used.

    All files are checked before anything is written. The shop is closed until the restore is complete, sends no mail
    and publishes no event for what it gets back. If it is interrupted, run the same command again.
    """
    console = Console(highlight=False)
    with _told():
        shop = target.chosen()
        with as_trouble("Run the same command again once it is mended; it continues where it was."):
            job = Restore(shop, directory)
            if dry_run:
                console.print(_of_backup(job.manifest))
                console.print(f"a dry run: {job.manifest.items} items would go into {shop.stack}; nothing was written")
                return
            with _bar(console, "items") as bar:
                task = bar.add_task("writing", total=job.manifest.items)
                try:
                    outcome = job.run(progress=lambda count: bar.advance(task, count))
                except KeyboardInterrupt:
                    raise Trouble(
                        f"interrupted: {shop.stack} may be closed, so that no function of it runs",
                        "Run the same command again; it continues where it was, and opens the shop at its end.",
                    ) from None
    _tell(console, shop.stack, job.manifest, outcome)


def _tell(console: Console, stack: str, manifest: Manifest, outcome: Outcome) -> None:
    if outcome.was_complete:
        console.print(f"{stack} was restored from this backup before; nothing was done")
        return
    if outcome.written:
        grid = Grid(title=f"restored into {stack}", title_justify="left")
        grid.add_column("table")
        for heading in ("in the backup", "written, and read back equal"):
            grid.add_column(heading, justify="right")
        for table in manifest.tables:
            grid.add_row(table.path, str(table.items), str(outcome.written[table.path]))
        console.print(grid)
        console.print(f"{outcome.written.total()} items written, {outcome.expired} had expired and are left out")
    sagas = ", ".join(f"{count} {status}" for status, count in outcome.sagas.items())
    console.print(f"sagas started for orders that were under way: {sagas or 'none'}")
    console.print(f"[green]✔[/] {stack} is open. Next: mercato inventory audit, mercato orders rebuild, mercato status")
    if not manifest.is_quiet:
        console.print("[yellow]The backup is of a shop at work: follow docs/runbook.md, “A live backup”.[/]")


def _of_backup(manifest: Manifest) -> Grid:
    agree = "its tables agree" if manifest.is_quiet else "taken at work: its tables may not agree"
    title = f"{manifest.shop}, {manifest.begun_at:%Y-%m-%d %H:%M:%S} UTC, release {manifest.release}: {agree}"
    grid = Grid(title=title, title_justify="left")
    grid.add_column("table")
    grid.add_column("items", justify="right")
    for table in manifest.tables:
        grid.add_row(table.path, str(table.items))
    return grid


def _bar(console: Console, what: str) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn(what))
    return Progress(*columns, TimeElapsedColumn(), console=console, transient=True)


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except Trouble as trouble:
        raise click.ClickException(f"{trouble.what}.\n{trouble.remedy}") from None


@contextmanager
def _as_by_ctrl_c() -> Iterator[None]:
    """Has the end of the terminal or of the process remove what was copied, as Ctrl-C does: it is customers' data."""

    def end(signum: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = {one: signal.signal(one, end) for one in (signal.SIGHUP, signal.SIGTERM)}
    try:
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)


def _release() -> str:
    try:
        return version("mercato")
    except PackageNotFoundError:
        return "unknown"
