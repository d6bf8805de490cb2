"""Permissions: granted, used, explained. What is neither used nor explained is too much."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from infra.trouble import Trouble


@dataclass(frozen=True, order=True)
class Permission:
    """`resource` is a pattern where it is granted, and an ARN where it was used."""

    function: str
    action: str
    resource: str

    def covers(self, used: Permission) -> bool:
        same = (self.function, self.action.lower()) == (used.function, used.action.lower())
        return same and fnmatch.fnmatchcase(used.resource, self.resource)


@dataclass(frozen=True)
class Explanation:
    """Why permissions are granted that no test uses. Empty `functions` are all; `resource` is a part of its name."""

    functions: tuple[str, ...]
    actions: tuple[str, ...]
    resource: str
    why: str

    @classmethod
    def read(cls, entry: Mapping[str, Any]) -> Explanation:
        unknown = set(entry) - {"functions", "actions", "resource", "why"}
        if unknown or not entry.get("actions") or not entry.get("why"):
            raise Trouble(
                f"an explanation makes no sense: {dict(entry)}", "It takes actions and why, functions, resource."
            )
        functions, actions = tuple(entry.get("functions", ())), tuple(entry["actions"])
        return cls(functions, actions, entry.get("resource", ""), entry["why"])

    def covers(self, granted: Permission) -> bool:
        return (
            (not self.functions or granted.function in self.functions)
            and granted.action in self.actions
            and self.resource in granted.resource
        )


@dataclass(frozen=True)
class Verdict:
    """`why` is None where a permission is unused for no stated reason."""

    permission: Permission
    why: str | None


@dataclass(frozen=True)
class Report:
    granted: int
    unused: list[Verdict]
    stale: list[Explanation]

    @property
    def unexplained(self) -> list[Permission]:
        return [verdict.permission for verdict in self.unused if verdict.why is None]

    @property
    def is_fine(self) -> bool:
        return not self.unexplained and not self.stale


def compare(granted: Iterable[Permission], used: Iterable[Permission], explanations: Iterable[Explanation]) -> Report:
    """An explanation of what is not granted any more is stale."""
    grants, uses, reasons = sorted(set(granted)), list(used), list(explanations)
    unused = [grant for grant in grants if not any(grant.covers(use) for use in uses)]
    verdicts = [Verdict(grant, next((one.why for one in reasons if one.covers(grant)), None)) for grant in unused]
    stale = [one for one in reasons if not any(one.covers(grant) for grant in grants)]
    return Report(len(grants), verdicts, stale)
