"""Prints sagas as a list or one as a timeline. Lines are not wrapped, so that ids can be copied."""

from __future__ import annotations

from datetime import datetime

from rich.console import Console
from rich.text import Text

from infra.operator.session import Json

_WIDTH = 32
_HEADINGS = ("saga", "status", "kind", "ending", "began", "ended")
_PARKED = ("order", "stuck in", "since", "error", "undone because")
_SIGNS = {"done": ("●", "green"), "caught": ("✘", "red"), "running": ("◌", "yellow"), "failed": ("■", "bold red")}
_ENDING = {"completed": "green", "failed": "red", "–": "yellow"}
_STATUS = {"succeeded": "green", "running": "yellow"}


def show_list(console: Console, page: Json, *, parked: bool) -> None:
    if not page["items"]:
        if page["next_cursor"]:
            console.print(f"none of the {page['limit']} sagas that were read; there are more: raise --limit")
        else:
            console.print("no saga is parked" if parked else "no saga")
        return
    rows: list[tuple[str, ...]] = [_PARKED if parked else _HEADINGS]
    for item in page["items"]:
        if parked:
            why = f"{item['failed_step']}: {item['reason']}"
            rows.append((item["saga"], item["step"], item["parked_at"], item["error"], why))
        else:
            cells = (item["status"], item["kind"], item["ending"] or "–", item["started_at"], item["stopped_at"] or "–")
            rows.append((item["saga"], *cells))
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    for number, row in enumerate(rows):
        style = "bold" if number == 0 else "yellow" if parked else _ENDING.get(row[3], "dim")
        line = "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True))
        console.print(Text(line.rstrip(), style), soft_wrap=True)
    for item in page["items"] if parked else ():
        _show_ways_on(console, item["saga"], item["step"])
    if page["next_cursor"]:
        console.print("there are more: raise --limit", style="dim")


def show(console: Console, saga: Json) -> None:
    status = saga["status"]
    ending = f"  {saga['ending']}" if saga["ending"] else ""
    named = f"{saga['kind']} {saga['saga']}  "
    console.print(Text.assemble((named, "bold"), (status, _STATUS.get(status, "red")), (ending, "dim")))
    if saga["error"]:
        console.print(Text(f"{saga['error']}: {saga['detail'] or ''}".rstrip(": "), "red"))
    if saga["steps"]:
        _show_steps(console, saga["steps"], saga["stopped_at"])
    for done in saga["resumptions"]:
        said = f"{done['at']}  {done['action']} {done['step']} by {done['operator']}: {done['reason']}"
        console.print(Text(said, "cyan"), soft_wrap=True)
    if not saga["is_whole"]:
        console.print("the history is longer than this", style="dim")
    if status == "failed" and not saga["can_redrive"]:
        console.print("the order was undone, and so its saga ends as failed", style="dim")
    if saga["parked_step"]:
        _show_ways_on(console, saga["saga"], saga["parked_step"])
    elif _waits_unlisted(saga):
        hint = "it waits for an operator and is not listed (yet): see mercato dlq show parked"
        console.print(Text(hint, "yellow"), soft_wrap=True)
    if saga["can_redrive"]:
        hint = f'the workflow itself failed: mercato saga redrive {saga["saga"]} --reason "…"'
        console.print(Text(hint, "yellow"), soft_wrap=True)


def _show_ways_on(console: Console, order: str, step: str) -> None:
    """Prints the commands that resume the saga after the cause is repaired or the step is completed by other means."""
    for choice in ("--retry", f"--skip {step}"):
        console.print(Text(f'mercato saga resume {order} {choice} --reason "…"', "yellow"), soft_wrap=True)


def _waits_unlisted(saga: Json) -> bool:
    """Tells whether the saga waits for an operator but may be missing in the list of parked sagas.

    Its parking message is still in the queue or is a dead letter.
    """
    last = saga["steps"][-1] if saga["steps"] else None
    return saga["status"] == "running" and last is not None and last["state"] == "AwaitOperator"


def _show_steps(console: Console, steps: list[Json], stopped_at: str | None) -> None:
    began = _time(steps[0]["entered_at"])
    times = [step[name] for step in steps for name in ("entered_at", "left_at") if step[name]]
    times += [failure["at"] for step in steps for failure in step["failures"]]
    whole = max((_time(at) - began).total_seconds() for at in [*times, stopped_at or times[0]]) or 0.001
    widest = max(len(step["state"]) for step in steps)
    for number, step in enumerate(steps, start=1):
        start = (_time(step["entered_at"]) - began).total_seconds()
        end = (_time(step["left_at"]) - began).total_seconds() if step["left_at"] else whole
        sign, style = _SIGNS[step["outcome"]]
        calls = step["tries"] > 0
        named = style if calls or step["outcome"] != "done" else "dim"
        line = Text.assemble((f"{sign} {number:>2} {step['state']:<{widest}}", named), (f"  {start:>+10.3f}", "dim"))
        line.append(f"{end - start:>10.3f} s  " if step["left_at"] else f"{'…':>10}    ", "" if calls else "dim")
        line.append(f"{_bar(start / whole, end / whole) if calls else '':<{_WIDTH}}", style)
        line.append("".join(f"  {count} {name}" for count, name in _counts(step)), "yellow")
        console.print(line, soft_wrap=True)
        for failure in step["failures"]:
            at = (_time(failure["at"]) - began).total_seconds()
            said = f"{failure['error']}: {failure['detail'] or ''}".rstrip(": ")
            console.print(Text.assemble(("│    ", "dim"), (f"{at:+.3f} {said}", "red")), soft_wrap=True)


def _counts(step: Json) -> list[tuple[int, str]]:
    tries, redrives = step["tries"], step["redrives"]
    return [(tries, "tries")] * (tries > 1) + [(redrives, "redriven")] * (redrives > 0)


def _bar(start: float, end: float) -> str:
    first = min(int(start * _WIDTH), _WIDTH - 1)
    last = max(first + 1, min(round(end * _WIDTH), _WIDTH))
    return " " * first + "━" * (last - first)


def _time(at: str) -> datetime:
    return datetime.fromisoformat(at)
