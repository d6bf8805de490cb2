"""The certificates of a shop's mesh, as its issuer tells them. No key leaves the issuer."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from infra.operator.target import Target, client
from infra.trouble import Trouble

_LATE = timedelta(hours=12)  # left of a leaf: the issuer's alarm is about to ring


@dataclass(frozen=True)
class Row:
    """A leaf of a service, or an authority. `problem` is empty if it is as it should be."""

    name: str
    issuer: str
    age: str
    ends_at: str
    problem: str


def require_mesh(shop: Target) -> None:
    """Raises Trouble if the shop's mesh is off."""
    if "MeshIssuer" not in shop.outputs:
        raise Trouble("the shop has no mesh", "Deploy it with Mesh=on; docs/mesh.md says what that makes.")


def renew(shop: Target) -> dict[str, str]:
    """Runs the issuer, as its schedule does. Returns the outcome by service."""
    outcomes: dict[str, str] = _invoke(shop, {})
    return outcomes


def rows(shop: Target, now: datetime) -> tuple[list[Row], list[Row]]:
    """Returns the authorities, the newest last, and the leaves."""
    found = _invoke(shop, {"report": True})
    newest = found["authorities"][-1]["subject"] if found["authorities"] else ""
    leaves = [_row(service, told, newest, now) for service, told in found["leaves"].items()]
    return [_row(one["subject"], one, one["subject"], now) for one in found["authorities"]], leaves


def _row(name: str, told: dict[str, str], newest: str, now: datetime) -> Row:
    if "problem" in told:
        return Row(name, "", "", "", told["problem"])
    left = datetime.fromisoformat(told["ends_at"]) - now
    ends_at = f"{datetime.fromisoformat(told['ends_at']):%Y-%m-%d %H:%M} UTC"
    problem = "has ended" if left <= timedelta(0) else "is renewed late" if left <= _LATE else ""
    if not problem and told["issuer"] != newest:
        problem = "is of an authority that is being replaced"
    issuer = "" if told["issuer"] == name else told["issuer"]  # an authority is its own
    return Row(name, issuer, _age(now - datetime.fromisoformat(told["issued_at"])), ends_at, problem)


def _age(since: timedelta) -> str:
    minutes = max(0, int(since.total_seconds() // 60))
    if minutes < 60:
        return f"{minutes} min"
    return f"{minutes // 60} h" if minutes < 48 * 60 else f"{minutes // (24 * 60)} d"


def _invoke(shop: Target, event: dict[str, Any]) -> Any:
    require_mesh(shop)
    function = shop.outputs["MeshIssuer"]
    answer = client(shop, "lambda").invoke(FunctionName=function, Payload=json.dumps(event).encode())
    text = answer["Payload"].read().decode()
    if "FunctionError" in answer:
        raise Trouble("the issuer failed", text[:2000])
    return json.loads(text)
