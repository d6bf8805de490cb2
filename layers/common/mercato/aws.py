"""AWS clients: one session, one client per service, made at first use."""

from __future__ import annotations

import functools
from typing import Any

import boto3
from botocore.config import Config

# Bounds for every AWS call: the Lambda's own time is scarcer than an answer that comes late.
_CONFIG = Config(connect_timeout=2, read_timeout=5, retries={"mode": "standard", "total_max_attempts": 3}, tcp_keepalive=True)


@functools.cache
def session() -> boto3.session.Session:
    return boto3.session.Session()


@functools.cache
def client(service: str) -> Any:
    return session().client(service, config=_CONFIG)  # type: ignore[call-overload]


def reset() -> None:
    """Forget the session and its clients: for tests, and after a SnapStart restore."""
    session.cache_clear()
    client.cache_clear()
