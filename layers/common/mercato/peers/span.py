"""An outgoing call to a peer: its span, its headers, and the log line of its outcome."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from mercato.errors import TransientError
from mercato.telemetry import correlation, trace_context
from mercato.telemetry.logs import log


@dataclass
class Call:
    """One attempt. Send it with `headers`, and set `status` when the peer has answered."""

    headers: dict[str, str]
    status: int | None = None


@contextmanager
def call(peer: str, method: str, path: str) -> Iterator[Call]:
    """The peer receives the current correlation, with this attempt as its parent."""
    work = correlation.current()
    traceparent = correlation.next_hop(work.traceparent)
    parent = trace_context.read_traceparent(traceparent)
    headers = {"X-Request-Id": work.correlation_id, "Traceparent": traceparent}
    optional = {"Tracestate": work.tracestate, "X-Mesh-Version": work.mesh_version}
    made = Call(headers | {name: value for name, value in optional.items() if value})
    about: dict[str, Any] = {"peer": peer, "method": method, "path": path, "call_id": parent.span_id if parent else ""}
    began = time.monotonic()
    reason: dict[str, Any] = {}
    try:
        yield made
    except TransientError as error:
        reason = {"reason": str(error)}
        raise
    finally:
        taken = {"status": made.status, "call_ms": round((time.monotonic() - began) * 1000)}
        log.info("peer called", extra=about | taken | reason)
