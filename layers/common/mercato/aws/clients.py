"""AWS clients: one session, one client per service, made at first use."""

from __future__ import annotations

import functools
import os
import threading
from typing import Any

import botocore.session
from botocore.config import Config

# Bounds for every AWS call: the Lambda's own time is scarcer than an answer that comes late. Where an endpoint is
# given, it is the whole address: Cloud Map's `data-` in front of it would lead nowhere.
_CONFIG = Config(
    connect_timeout=2,
    read_timeout=5,
    tcp_keepalive=True,
    inject_host_prefix=not os.environ.get("AWS_ENDPOINT_URL"),
)

_making = threading.RLock()  # a session may not make two clients at once


class Session(botocore.session.Session):
    """botocore's own: boto3 would add resources and transfers, which no function uses, to every cold start."""

    @property
    def region_name(self) -> str:
        region: str = self.get_config_variable("region")
        return region


@functools.cache
def session() -> Session:
    return Session()


def client(service: str, attempts: int = 3, patience: float | tuple[float, float] | None = None) -> Any:
    """The client of one AWS service, shared by all calls with the same bounds.

    `attempts=1` is for a call that does harm when botocore repeats it, or whose caller can do without the answer.
    `patience`: seconds to wait for a connection and for an answer, as one number or as a pair of both, where the usual
    ones are too long.
    """
    with _making:
        return _client(service, attempts, patience)


@functools.cache
def _client(service: str, attempts: int, patience: float | tuple[float, float] | None) -> Any:
    config = _CONFIG.merge(Config(retries={"mode": "standard", "total_max_attempts": attempts}))
    if patience is not None:
        connect, read = patience if isinstance(patience, tuple) else (patience, patience)
        config = config.merge(Config(connect_timeout=connect, read_timeout=read))
    return session().create_client(service, config=config)


def reset() -> None:
    """Forget the session and its clients: for tests, and after a SnapStart restore."""
    session.cache_clear()
    _client.cache_clear()
