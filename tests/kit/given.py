"""Data of the domain that many tests start from."""

from __future__ import annotations

from typing import Any


def published(event_type: str, subject: str, data: Any, /, **fields: Any) -> dict[str, Any]:
    """A published event (CloudEvents 1.0), as the relay hands it to the bus. `fields` add to it or replace its own."""
    return {
        "specversion": "1.0",
        "id": f"{event_type}-{subject}",
        "source": "mercato.elsewhere",
        "type": event_type,
        "time": "2026-11-22T12:00:00.000Z",
        "subject": subject,
        "data": data,
    } | fields
