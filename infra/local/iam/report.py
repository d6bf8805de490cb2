"""Compares granted, used and explained permissions. A permission that is neither used nor explained is excessive."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from infra.trouble import Trouble


@dataclass(frozen=True, order=True)
class Permission:
    """A granted or used permission. `resource` is a pattern in a granted permission and an ARN in a used one."""

    function: str
    action: str
    resource: str

    def covers(self, used: Permission) -> bool:
        same = (self.function, self.action.lower()) == (used.function, used.action.lower())
        return same and fnmatch.fnmatchcase(used.resource, self.resource)


@dataclass(frozen=True)
class Explanation:
    """The reason to grant permissions that no test uses.

    `functions` are names or patterns, such as *Consumer; none mean all functions. `resource` is a part of the granted
    resource's pattern. `mesh` says whether it is of a shop with the mesh alone, or of one without; None means both.
    """

    functions: tuple[str, ...]
    actions: tuple[str, ...]
    resource: str
    why: str
    mesh: bool | None = None

    @classmethod
    def read(cls, entry: Mapping[str, Any]) -> Explanation:
        unknown = set(entry) - {"functions", "actions", "resource", "mesh", "why"}
        mesh = entry.get("mesh")
        if unknown or not entry.get("actions") or not entry.get("why") or mesh not in (None, True, False):
            raise Trouble(
                f"an explanation makes no sense: {dict(entry)}",
                "It has actions, why and maybe functions, resource, mesh (on or off).",
            )
        functions, actions = tuple(entry.get("functions", ())), tuple(entry["actions"])
        return cls(functions, actions, entry.get("resource", ""), entry["why"], mesh)

    def covers(self, granted: Permission) -> bool:
        return (
            (not self.functions or any(fnmatch.fnmatchcase(granted.function, one) for one in self.functions))
            and granted.action in self.actions
            and self.resource in granted.resource
        )


@dataclass(frozen=True)
class Verdict:
    """An unused permission. `why` is its explanation, or None if it has none."""

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
    """Returns the unused permissions with their explanations. An explanation that covers no grant is stale."""
    grants, uses, reasons = sorted(set(granted)), list(used), list(explanations)
    unused = [grant for grant in grants if not any(grant.covers(use) for use in uses)]
    verdicts = [Verdict(grant, next((one.why for one in reasons if one.covers(grant)), None)) for grant in unused]
    stale = [one for one in reasons if not any(one.covers(grant) for grant in grants)]
    return Report(len(grants), verdicts, stale)
