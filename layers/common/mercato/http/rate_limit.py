"""Limits a client's requests in a window of 15 minutes, counted in one table for all sandboxes.

A request costs one conditional write at most. A sandbox that serves a busy client leases several requests with one
write; for a client without requests left it writes nothing until the window ends. Leased requests are counted, so a
client never gets more than its limit. Requests that a sandbox leased and did not use are lost to the client at the end
of the window, so the first leases are of one request.

If the table is unavailable, requests pass: a shop without a limit can sell, a shop behind a failed limiter cannot.
"""

from __future__ import annotations

import dataclasses
import ipaddress
import math
import time
from collections.abc import Callable
from typing import Protocol

from botocore.exceptions import BotoCoreError, ClientError

from mercato import aws
from mercato.clock import wait_in_words
from mercato.dataclass import dataclass
from mercato.errors import TooManyRequests
from mercato.http.auth import Caller
from mercato.store.attributes import to_item
from mercato.telemetry import metrics
from mercato.telemetry.logs import log

WINDOW = 15 * 60
_LARGEST_LEASE = 10
_BUSY = 10.0  # seconds: a lease used up within them is followed by one twice as large
_PAUSE = 5.0  # seconds without calls to the table after a failure
_MOST_CLIENTS = 10_000


class RateLimited(TooManyRequests):
    """The client has used up its requests for this time window."""


@dataclass(frozen=True)
class Limit:
    """A number of requests per window and client: fixed, one part in `one_in` of the default limit, or `times` the
    default limit.
    """

    name: str
    requests: int | None = None
    one_in: int = 1
    times: int = 1

    def allowed(self, default: int) -> int:
        return self.requests if self.requests is not None else max(1, default * self.times // self.one_in)


DEFAULT = Limit("default")
# For pages that refresh every few seconds while they are open: 450 requests in a window.
WATCH = Limit("watch", times=10)
UNLIMITED = None  # for callers that are identified by a signature, and for responses that caches ask for


@dataclass(frozen=True)
class Standing:
    """What a client has left of its limit, for `reset` more seconds."""

    limit: Limit
    allowed: int
    remaining: int
    reset: int

    def headers(self) -> dict[str, str]:
        """The fields of draft-ietf-httpapi-ratelimit-headers."""
        return {
            "RateLimit-Policy": f'"{self.limit.name}";q={self.allowed};w={WINDOW}',
            "RateLimit": f'"{self.limit.name}";r={self.remaining};t={self.reset}',
        }


class Counts(Protocol):
    def take(self, client: str, window: int, requests: int, allowed: int) -> int | None:
        """Count `requests` more. How many were counted before; None, and nothing counted, where all were used up.

        Raises StoreUnavailable.
        """


class StoreUnavailable(Exception):
    """The table of counts is unavailable."""


@dataclasses.dataclass
class _Lease:
    """`left` requests that are counted already; `unclaimed` is what the table had left besides."""

    left: int
    unclaimed: int
    size: int
    taken_at: float


class Limiter:
    """The limits of one sandbox's clients. `now` is Unix time, passed in."""

    def __init__(self, counts: Counts, default: int, now: Callable[[], float] = time.time) -> None:
        self._counts = counts
        self._default = default
        self._now = now
        self._window = -1
        self._leases: dict[tuple[str, str], _Lease] = {}
        self._silent_until = 0.0

    def charge(self, client: str, limit: Limit) -> Standing | None:
        """Counts one request. None if it could not be counted. Raises RateLimited."""
        now, allowed = self._now(), limit.allowed(self._default)
        self._forget_the_past(int(now // WINDOW))
        key = (client, limit.name)
        lease = self._leases.get(key)
        if lease is None or (lease.left == 0 and lease.unclaimed > 0):
            if now < self._silent_until:
                return None
            try:
                lease = self._leases[key] = self._renew(key, lease, allowed, now)
            except StoreUnavailable as error:
                self._silent_until = now + _PAUSE
                _report(error, now)
                return None
        refused = lease.left == 0
        lease.left -= 0 if refused else 1
        reset = math.ceil((self._window + 1) * WINDOW - now)
        standing = Standing(limit, allowed, min(lease.left + lease.unclaimed, allowed), max(reset, 1))
        if refused:
            raise RateLimited(
                f"This was asked {allowed} times within {WINDOW // 60} minutes, which is the most. "
                f"Please try again in {wait_in_words(standing.reset)}.",
                retry_after=standing.reset,
            )
        return standing

    def standing_of_refused(self, limit: Limit) -> Standing:
        reset = math.ceil((self._window + 1) * WINDOW - self._now())
        return Standing(limit, limit.allowed(self._default), 0, max(reset, 1))

    def _renew(self, key: tuple[str, str], lease: _Lease | None, allowed: int, now: float) -> _Lease:
        size = 1
        if lease is not None:
            size = min(lease.size * 2, _LARGEST_LEASE) if now - lease.taken_at < _BUSY else 1
        before = self._counts.take("#".join(key), self._window, size, allowed)
        if before is None:
            return _Lease(0, 0, size, now)
        granted = min(size, allowed - before)
        return _Lease(granted, allowed - before - granted, size, now)

    def _forget_the_past(self, window: int) -> None:
        if window != self._window or len(self._leases) >= _MOST_CLIENTS:
            self._window = window
            self._leases.clear()


class CountTable:
    """The counts in their own table: pk is client and bucket, sk the window. Old windows expire."""

    def __init__(self, table_name: str) -> None:
        self._table_name = table_name

    def take(self, client: str, window: int, requests: int, allowed: int) -> int | None:
        try:
            # One attempt: with retries the limiter would slow down every request while its table is slow.
            answer = aws.client("dynamodb", attempts=1).update_item(
                TableName=self._table_name,
                Key=to_item({"pk": client, "sk": str(window)}),
                UpdateExpression="SET #ttl = :ttl ADD used :requests",
                ConditionExpression="attribute_not_exists(used) OR used < :allowed",
                ExpressionAttributeNames={"#ttl": "ttl"},
                ExpressionAttributeValues=to_item(
                    {":requests": requests, ":allowed": allowed, ":ttl": (window + 2) * WINDOW}
                ),
                ReturnValues="UPDATED_NEW",
            )
        except ClientError as error:
            if error.response["Error"]["Code"] == "ConditionalCheckFailedException":
                return None
            raise StoreUnavailable(str(error)) from error
        except BotoCoreError as error:
            raise StoreUnavailable(str(error)) from error
        return int(answer["Attributes"]["used"]["N"]) - requests


def client_of(caller: Caller, source_address: str) -> str:
    """The user, else the address that API Gateway saw. Headers are ignored."""
    return f"user:{caller.user_id}" if caller.user_id else f"address:{network_of(source_address)}"


def network_of(address: str) -> str:
    """An IPv4 address, or the /64 of an IPv6 address, all of which belongs to one subscriber."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return "unknown"
    if isinstance(found, ipaddress.IPv6Address):
        return str(found.ipv4_mapped or ipaddress.ip_network((found, 64), strict=False).network_address)
    return str(found)


def _report(error: StoreUnavailable, now: float) -> None:
    """Writes a log line that is also a metric (CloudWatch's embedded metric format)."""
    metric = {
        "Namespace": metrics.namespace(),
        "Dimensions": [[]],
        "Metrics": [{"Name": "RateLimiterDown", "Unit": "Count"}],
    }
    log.warning(
        "requests pass uncounted: the rate limit's table is away",
        extra={
            "reason": str(error),
            "RateLimiterDown": 1,
            "_aws": {"Timestamp": int(now * 1000), "CloudWatchMetrics": [metric]},
        },
    )
