"""Checks that every stream and queue is read. A disabled event source mapping causes no errors, hence no other
alarm.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from mercato import aws
from mercato.errors import TransientError
from mercato.invocation import deadline

# A page takes at most two attempts of two seconds to connect and two to answer. The probes need most of half a minute.
_ATTEMPTS, _PATIENCE, _ALL_PAGES = 2, 2.0, 4.0
_TROUBLE = ("PROBLEM", "FAILED")  # the beginning of the last batch's result on AWS, and in the local cloud


def find_down(sources: Iterable[str]) -> dict[str, str]:
    """The problem of each of these tables and queues that Lambda does not read properly, by source."""
    complaints: dict[str, list[str]] = {}
    for mapping in _list_mappings():
        complaints.setdefault(_name_of(mapping.get("EventSourceArn", "")), []).append(_complaint(mapping))
    found = {source: ", ".join(filter(None, complaints.get(source, ["no mapping"]))) for source in sources}
    return {source: complaint for source, complaint in found.items() if complaint}


def _list_mappings() -> list[dict[str, Any]]:
    """The mappings of the whole account: a list per function would be a dozen calls, and Lambda allows few a second."""
    found: list[dict[str, Any]] = []
    client = aws.client("lambda", attempts=_ATTEMPTS, patience=_PATIENCE)
    try:
        with deadline.at_most(_ALL_PAGES):
            for page in client.get_paginator("list_event_source_mappings").paginate():
                found += page["EventSourceMappings"]
                if page.get("NextMarker") and deadline.left() <= 0:
                    raise TransientError(
                        f"the event source mappings have more pages than {_ALL_PAGES} seconds can read"
                    )
    except (ClientError, BotoCoreError) as error:
        raise TransientError(f"the event source mappings cannot be listed: {error}") from error
    return found


def _name_of(arn: str) -> str:
    """The name in `…:table/<name>/stream/<time>` and in `…:<queue>`."""
    resource = arn.rpartition(":")[2] if ":sqs:" in arn else arn.partition(":table/")[2]
    return resource.partition("/")[0]


def _complaint(mapping: Mapping[str, Any]) -> str:
    """The mapping's problem, or ""."""
    if mapping["State"] != "Enabled":
        return f"{mapping['State']}: {mapping.get('StateTransitionReason', '')}".removesuffix(": ")
    last = mapping.get("LastProcessingResult") or ""
    return last if last.startswith(_TROUBLE) else ""
