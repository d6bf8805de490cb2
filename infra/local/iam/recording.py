"""A note of every permission that the local cloud has seen used.

The emulator's CloudTrail names a caller's key and no role, and of a transaction neither items nor tables. So its own
decisions are noted, where it makes them: each role, action and resource once, as a line of JSON.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

Decide = Callable[..., Any]


def noting(decide: Decide, file: Path) -> Decide:
    """`decide` as it is, with what it allows to assumed roles appended to `file`."""
    seen: set[tuple[str, str, str]] = set()

    def noted(context: Any, policies: Any, *limits: Any) -> Any:
        result = decide(context, policies, *limits)
        used = (context.principal_arn, context.action, context.resource_arn)
        if result.decision == "Allow" and ":assumed-role/" in context.principal_arn and used not in seen:
            seen.add(used)
            with file.open("a") as lines:
                lines.write(json.dumps(used) + "\n")
        return result

    return noted
