"""UsersKeys: makes the signing keys after the first deploy and rotates them on a schedule."""

from __future__ import annotations

from typing import Any

from mercato.clock import utc_now
from mercato.invocation.schedule import scheduled
from mercato.telemetry.logs import log
from users.signing_keys.rotation import maintain_keys
from users.wiring import ports


@scheduled
def handler(event: dict[str, Any]) -> dict[str, str]:
    """Event: {"if_missing": true} makes the first keys and nothing else; any other rotates, at most once an hour."""
    outcome = maintain_keys(ports().keys, utc_now(), if_missing=event.get("if_missing") is True)
    log.info("signing keys", extra={"outcome": outcome})
    return {"outcome": outcome}
