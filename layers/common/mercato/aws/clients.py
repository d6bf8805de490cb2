"""AWS clients: one session, one client per service, made at first use."""

from __future__ import annotations

import functools
import os
import threading
import time
from typing import Any

import botocore.session
from botocore.config import Config

# Bounds for every AWS call, since the Lambda's time is more valuable than a late answer. A given endpoint is the whole
# address: Cloud Map's `data-` prefix would not resolve.
_CONFIG = Config(
    connect_timeout=2,
    read_timeout=5,
    tcp_keepalive=True,
    inject_host_prefix=not os.environ.get("AWS_ENDPOINT_URL"),
)

# A form that S3 takes from a browser needs the address of the region: the global one redirects to it, and the browser
# does not send the file again. A given endpoint has no names below it.
_S3 = Config(
    signature_version="s3v4",
    s3={
        "addressing_style": "path" if os.environ.get("AWS_ENDPOINT_URL") else "virtual",
        "us_east_1_regional_endpoint": "regional",
    },
)

# Lambda drops idle connections, which a frozen sandbox does not notice: the next request over one gets no answer. After
# so many seconds, a request that is not repeated takes a new connection.
IDLE = 10.0

# When a client of calls that are not repeated was last fetched, by the wall clock: the monotonic one may stand still
# while a sandbox is frozen.
_fetched: dict[tuple[str, float | tuple[float, float] | None], float] = {}

_making = threading.RLock()  # a session must not make two clients concurrently


class Session(botocore.session.Session):
    """botocore's own session. boto3 would add resources and transfers, which no function uses, to every cold start."""

    @property
    def region_name(self) -> str:
        region: str = self.get_config_variable("region")
        return region


@functools.cache
def session() -> Session:
    return Session()


def client(service: str, attempts: int = 3, patience: float | tuple[float, float] | None = None) -> Any:
    """The client of one AWS service, shared by all calls with the same bounds.

    Use `attempts=1` for a call that botocore must not repeat, or whose caller does not need the answer, and fetch that
    client for each call, since this drops connections that have idled. `patience`: the seconds to wait for a connection
    and for an answer, as one number or as a pair, if the defaults are too long.
    """
    with _making:
        found, now = _client(service, attempts, patience), time.time()
        if attempts == 1:
            if now - _fetched.get((service, patience), now) > IDLE:
                found.close()  # the connections; the client opens new ones
            _fetched[service, patience] = now
        return found


@functools.cache
def _client(service: str, attempts: int, patience: float | tuple[float, float] | None) -> Any:
    config = _CONFIG.merge(Config(retries={"mode": "standard", "total_max_attempts": attempts}))
    if service == "s3":
        config = config.merge(_S3)
    if patience is not None:
        connect, read = patience if isinstance(patience, tuple) else (patience, patience)
        config = config.merge(Config(connect_timeout=connect, read_timeout=read))
    return session().create_client(service, config=config)


def reset() -> None:
    """Forgets the session and its clients: for tests, and after a SnapStart restore."""
    session.cache_clear()
    _client.cache_clear()
    _fetched.clear()
