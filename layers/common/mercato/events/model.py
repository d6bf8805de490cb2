"""Events: typed data in a CloudEvents 1.0 envelope. The publisher owns the model; a consumer declares what it reads."""

from datetime import datetime
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field

from mercato.clock import rfc3339
from mercato.telemetry import correlation

MAX_BYTES = 250_000  # of one EventBridge entry (256 KiB), less its other fields


class EventModel(BaseModel):
    """The data of one event type and version, as its publisher declares it."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    TYPE: ClassVar[str]
    VERSION: ClassVar[int] = 1
    EXAMPLE: ClassVar[dict[str, Any]]


class Reads(BaseModel):
    """The fields that a consumer reads of an event, so that new fields never break it.

    VERSION is the newest version that it can read, besides all older ones.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", defer_build=True)

    VERSION: ClassVar[int] = 1


class Event(BaseModel):
    """The envelope as a consumer receives it."""

    model_config = ConfigDict(frozen=True, extra="ignore", defer_build=True)

    specversion: str
    id: str
    source: str
    type: str
    time: datetime
    subject: str
    data: dict[str, Any]
    dataschema: str = ""
    sequence: int = Field(0, ge=0)
    correlationid: str | None = None
    causationid: str | None = None
    traceparent: str | None = None
    tracestate: str | None = None

    @property
    def version(self) -> int:
        """Taken from the `dataschema`; 1 for an event without one."""
        return int(self.dataschema.rpartition(":")[2]) if self.dataschema else 1


def envelope(
    data: EventModel, *, service: str, subject: str, event_id: str, sequence: int, now: datetime
) -> dict[str, Any]:
    """A CloudEvent in JSON form, with the current correlation.

    `subject` is the entity's id, `sequence` the entity's version, so that a consumer can detect a stale event. The
    sequence is sent as CloudEvents' sequence extension demands: a string whose order as text is the order of events.
    """
    work = correlation.current()
    found = {
        "specversion": "1.0",
        "id": event_id,
        "source": f"mercato.{service}",
        "type": data.TYPE,
        "time": rfc3339(now),
        "subject": subject,
        "datacontenttype": "application/json",
        "dataschema": schema_id(type(data)),
        "sequence": f"{sequence:010d}",
        "correlationid": work.correlation_id,
        "traceparent": work.traceparent,
        "data": data.model_dump(mode="json"),
    }
    optional = {"causationid": work.causation_id, "tracestate": work.tracestate}
    return found | {name: value for name, value in optional.items() if value}


def schema_id(model: type[EventModel]) -> str:
    return f"urn:mercato:event:{model.TYPE}:{model.VERSION}"
