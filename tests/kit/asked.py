"""Requests as data: a case describes a request, and this module sends it to the service's handler."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import boto3

from mercato.webhooks import sign
from tests.kit import aws_events


@dataclass(frozen=True)
class Asked:
    """A request. `user` is empty for an anonymous caller. The role `peer` sends it through the function URL."""

    path: str
    body: Any = None
    user: str = "ada"
    role: str = "customer"
    key: str = "key-of-the-refused"
    headers: Mapping[str, str] = field(default_factory=dict)


def asking(path: str, body: Any = None, **more: Any) -> Callable[[Any], Asked]:
    """Returns the request of a case that needs no state before it."""

    def nothing(_: Any) -> Asked:
        return Asked(path, body, **more)

    return nothing


def signed(path: str, body: Any, secret: str, at: datetime) -> Asked:
    """Returns a webhook that its sender signed with `secret` at that moment."""
    stamp, text = str(int(at.timestamp())), json.dumps(body)
    headers = {"X-Webhook-Timestamp": stamp, "X-Webhook-Signature": sign(secret, stamp, text.encode())}
    return Asked(path, text, user="", headers=headers)


def send(service: str, method: str, asked: Asked) -> tuple[int, Any]:
    """Sends the request and returns the response's status and body."""
    if asked.role == "peer":
        event = aws_events.url_request(method, asked.path, asked.body, peer="carts", headers=dict(asked.headers))
    else:
        headers = {"X-Request-Id": "req-12345678", "Idempotency-Key": asked.key} | dict(asked.headers)
        event = aws_events.rest_request(
            method, asked.path, asked.body, user=asked.user, role=asked.role, headers=headers
        )
    response = importlib.import_module(f"{service}.api").handler(event, None)
    return response["statusCode"], json.loads(response["body"] or "null")


def stored(apart: Collection[str], but: Collection[str] = ()) -> list[str]:
    """Returns every item of all tables except `apart`, without the partitions whose keys begin with one of `but`."""
    client = boto3.client("dynamodb", "us-east-1")
    return sorted(
        f"{table} {json.dumps(item, sort_keys=True, default=bytes.hex)}"
        for table in client.list_tables()["TableNames"]
        if table not in apart
        for page in client.get_paginator("scan").paginate(TableName=table)
        for item in page["Items"]
        if not item["pk"]["S"].startswith(tuple(but))
    )
