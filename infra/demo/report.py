"""Reports one running story: prints what it does, and keeps its checks for the table at the end."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from rich.console import Console
from rich.markup import escape

from infra.operator.client import Json


@dataclass(frozen=True)
class Check:
    what: str
    holds: bool
    found: str


@dataclass
class Report:
    """What one story did and checked. The story succeeds if it has checks and all hold."""

    console: Console
    checks: list[Check] = field(default_factory=list)
    ending: str = ""
    _told: int = 0

    @property
    def ended_well(self) -> bool:
        return bool(self.checks) and all(check.holds for check in self.checks)

    @property
    def failures(self) -> list[Check]:
        return [check for check in self.checks if not check.holds]

    def say(self, text: str) -> None:
        self.console.print(f"  [dim]·[/] {escape(text)}", highlight=False)

    def check(self, what: str, holds: bool, found: object = "") -> None:
        """Records a check; prints `found` if it fails."""
        self.checks.append(Check(what, holds, str(found)))
        mark, tail = ("[green]✔[/]", "") if holds else ("[red]✘[/]", f" [red](found: {escape(str(found))})[/]")
        self.console.print(f"  {mark} {escape(what)}{tail}", highlight=False)

    def expect(self, what: str, expected: object, found: object) -> None:
        self.check(what, expected == found, found)

    def end(self, text: str) -> None:
        """Records the outcome in a few words, for the table."""
        self.ending = text

    def show_timeline(self, order: Json) -> None:
        """Prints the new entries of the order's timeline."""
        placed = datetime.fromisoformat(order["placed_at"])
        for entry in order["timeline"][self._told :]:
            after = (datetime.fromisoformat(entry["at"]) - placed).total_seconds()
            detail = f"  [dim]{escape(entry['detail'])}[/]" if entry.get("detail") else ""
            self.console.print(f"    [cyan]{after:7.2f} s[/]  {escape(entry['status'])}{detail}", highlight=False)
        self._told = len(order["timeline"])
