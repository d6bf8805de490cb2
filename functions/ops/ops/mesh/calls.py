"""Reads the calls that the mesh's sidecars have logged, one line for each, with CloudWatch Logs Insights."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from mercato.dataclass import dataclass
from mercato.errors import TransientError
from mercato.http.mesh_calls import IDENTITIES

MOST = 10_000  # lines that one query answers
_QUERY = f"fields @message | filter @message like /mesh call/ | sort @timestamp desc | limit {MOST}"
_MESSAGE = "mesh call"
_PAUSE = 0.25


@dataclass(frozen=True)
class Call:
    """`peer` is empty where the caller named no service of the mesh, `version` where no peer was called."""

    caller: str
    peer: str
    route: str
    version: str
    status: int
    took_ms: int
    is_refused: bool


def read_calls(
    logs: Any,
    shop: str,
    since: datetime,
    until: datetime,
    patience: float,
    sleep: Callable[[float], None] = time.sleep,
) -> tuple[list[Call], bool]:
    """Returns the newest calls of that time, at most 10,000, and whether there may be more. Raises TransientError if
    CloudWatch does not answer within `patience` seconds.
    """
    groups = [f"/aws/lambda/{shop}-{function}" for function in IDENTITIES]
    ends_at = time.monotonic() + patience
    try:
        query = logs.start_query(
            logGroupNames=groups,
            startTime=int(since.timestamp()),
            endTime=int(until.timestamp()) + 1,
            queryString=_QUERY,
        )["queryId"]
        while (answer := logs.get_query_results(queryId=query))["status"] in ("Scheduled", "Running"):
            if time.monotonic() > ends_at:
                logs.stop_query(queryId=query)
                raise TransientError(f"the calls of the mesh were not found within {patience:.0f} seconds")
            sleep(_PAUSE)
    except (ClientError, BotoCoreError) as error:
        raise TransientError(f"the log of the mesh's calls cannot be read: {error}") from error
    if answer["status"] != "Complete":
        raise TransientError(f"the log of the mesh's calls cannot be read: {answer['status']}")
    rows = [{field["field"]: field["value"] for field in row} for row in answer["results"]]
    return [call for row in rows if (call := _call_of(row["@message"]))], len(rows) == MOST


def _call_of(line: str) -> Call | None:
    try:
        found = json.loads(line)
        if found["message"] != _MESSAGE:
            return None
        peer, _, route = (found["call"] or "").partition(" ")
        is_refused = route == "refused"
        return Call(
            caller=found["caller"],
            peer="" if is_refused and peer == "unknown" else peer,
            route="" if is_refused else route,
            version=found["version"] or "",
            status=int(found["status"]),
            took_ms=int(found["call_ms"]),
            is_refused=is_refused,
        )
    except (ValueError, TypeError, KeyError):
        return None
