"""Records every permission that is used in the local cloud.

The emulator's CloudTrail names a caller's key but not its role, and for a transaction neither items nor tables. So this
module records the emulator's own IAM decisions: each role, action and resource once, as a line of JSON.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

Decide = Callable[..., Any]


def noting(decide: Decide, file: Path) -> Decide:
    """Returns `decide` wrapped so that each permission it allows an assumed role is appended to `file` once."""
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
