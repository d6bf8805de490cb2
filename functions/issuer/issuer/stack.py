"""Answers CloudFormation, to which the identities are a resource: what needs the first ones comes later."""

from __future__ import annotations

import json
from typing import Any

import urllib3

_PHYSICAL_ID = "identities"


def asks(event: dict[str, Any]) -> bool:
    return "ResponseURL" in event


def tell(event: dict[str, Any], failure: str = "") -> None:
    """`failure` is empty if it is done. Without an answer, CloudFormation waits until its ServiceTimeout."""
    kept = {name: event[name] for name in ("StackId", "RequestId", "LogicalResourceId")}
    answer = kept | {
        "PhysicalResourceId": _PHYSICAL_ID,
        "Status": "FAILED" if failure else "SUCCESS",
        "Reason": failure,
    }
    # The URL is signed without a Content-Type.
    urllib3.request(
        "PUT",
        event["ResponseURL"],
        body=json.dumps(answer).encode(),
        headers={"Content-Type": ""},
        timeout=10,
        retries=3,
    )
