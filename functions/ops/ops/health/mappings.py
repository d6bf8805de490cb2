"""Is every stream and queue read? An event source mapping that is off fails nothing, and so rings nowhere by itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from mercato import aws
from mercato.errors import TransientError
from mercato.invocation import deadline

# A page takes two attempts at most, of two seconds to connect and two to answer: the probes need most of half a minute.
_ATTEMPTS, _PATIENCE, _ALL_PAGES = 2, 2.0, 4.0
_TROUBLE = ("PROBLEM", "FAILED")  # what AWS says of the last batch begins so, and what the local cloud says


def find_down(sources: Iterable[str]) -> dict[str, str]:
    """What is wrong, by source, with those of these tables and queues that Lambda does not read as it should."""
    complaints: dict[str, list[str]] = {}
    for mapping in _list_mappings():
        complaints.setdefault(_name_of(mapping.get("EventSourceArn", "")), []).append(_complaint(mapping))
    found = {source: ", ".join(filter(None, complaints.get(source, ["no mapping"]))) for source in sources}
    return {source: complaint for source, complaint in found.items() if complaint}


def _list_mappings() -> list[dict[str, Any]]:
    """Those of the whole account: a list for each function would be a dozen calls, and Lambda takes few a second."""
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
    """Of `…:table/<name>/stream/<time>` and of `…:<queue>`."""
    resource = arn.rpartition(":")[2] if ":sqs:" in arn else arn.partition(":table/")[2]
    return resource.partition("/")[0]


def _complaint(mapping: Mapping[str, Any]) -> str:
    """Nothing where all is well."""
    if mapping["State"] != "Enabled":
        return f"{mapping['State']}: {mapping.get('StateTransitionReason', '')}".removesuffix(": ")
    last = mapping.get("LastProcessingResult") or ""
    return last if last.startswith(_TROUBLE) else ""
