"""The limiter is exact over all sandboxes, cheap for a busy client, and lets requests pass if its table is down."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from mercato import aws
from mercato.http import rate_limit
from mercato.http.auth import ANONYMOUS, Caller, Role
from mercato.http.rate_limit import DEFAULT, WINDOW, CountTable, Limit, Limiter, RateLimited, client_of
from mercato.store.dynamo import Table

START = 1_000 * WINDOW + 100.0
ADA = Caller(Role.CUSTOMER, user_id="ada")


class Clock:
    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> float:
        return self.now


class Counting:
    """A table that counts its calls."""

    def __init__(self, table: CountTable) -> None:
        self.table = table
        self.writes = 0
        self.down = False

    def take(self, client: str, window: int, requests: int, allowed: int) -> int | None:
        self.writes += 1
        if self.down:
            raise rate_limit.StoreUnavailable("away")
        return self.table.take(client, window, requests, allowed)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def counts(make_table: Callable[[str], Table]) -> Counting:
    return Counting(CountTable(make_table("RateLimitsTable").name))


def passes(limiter: Limiter, client: str, times: int, limit: Limit = DEFAULT) -> int:
    passed = 0
    for _ in range(times):
        try:
            limiter.charge(client, limit)
        except RateLimited:
            continue
        passed += 1
    return passed


def test_a_client_gets_exactly_its_limit_and_others_keep_theirs(counts: Counting, clock: Clock) -> None:
    limiter = Limiter(counts, 100, clock)

    assert passes(limiter, "user:ada", 250) == 100
    assert passes(limiter, "user:bob", 100) == 100


def test_sandboxes_share_one_limit(counts: Counting, clock: Clock) -> None:
    sandboxes = [Limiter(counts, 100, clock) for _ in range(4)]

    assert sum(passes(sandboxes[turn % 4], "user:ada", 1) for turn in range(400)) == 100


def test_a_busy_client_costs_fewer_writes_than_requests_and_a_refused_one_none(counts: Counting, clock: Clock) -> None:
    limiter = Limiter(counts, 100, clock)

    passes(limiter, "user:ada", 100)
    assert counts.writes == 13  # leases of 1, 2, 4, 8, then 10

    passes(limiter, "user:ada", 1000)
    assert counts.writes == 13


def test_a_slow_client_leaves_no_lease_behind_in_any_sandbox(counts: Counting, clock: Clock) -> None:
    first, second = Limiter(counts, 3, clock), Limiter(counts, 3, clock)

    passes(first, "user:ada", 1)
    clock.now += 60
    passes(first, "user:ada", 1)

    assert passes(second, "user:ada", 2) == 1


def test_the_standing_tells_what_is_left_and_until_when(counts: Counting, clock: Clock) -> None:
    limiter = Limiter(counts, 100, clock)

    standing = limiter.charge("user:ada", DEFAULT)

    assert standing is not None
    assert standing.headers() == {
        "RateLimit-Policy": '"default";q=100;w=900',
        "RateLimit": '"default";r=99;t=800',
    }


def test_the_refusal_says_when_to_come_back_and_then_the_client_may(counts: Counting, clock: Clock) -> None:
    limiter = Limiter(counts, 1, clock)
    limiter.charge("user:ada", DEFAULT)
    clock.now += 0.5

    with pytest.raises(RateLimited) as refused:
        limiter.charge("user:ada", DEFAULT)

    assert refused.value.extra["retry_after"] == 800
    clock.now = START + 800
    assert passes(limiter, "user:ada", 2) == 1


def test_a_route_with_its_own_limit_has_its_own_bucket(counts: Counting, clock: Clock) -> None:
    limiter = Limiter(counts, 100, clock)

    assert passes(limiter, "user:ada", 50, Limit("log-in", one_in=5)) == 20
    assert passes(limiter, "user:ada", 50, Limit("password-reset", requests=5)) == 5
    assert passes(limiter, "user:ada", 100) == 100


def test_requests_pass_while_the_table_is_away_and_a_metric_tells(
    counts: Counting, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    limiter = Limiter(counts, 1, clock)
    counts.down = True

    with caplog.at_level(logging.WARNING):
        assert [limiter.charge("user:ada", DEFAULT) for _ in range(50)] == [None] * 50

    assert counts.writes == 1  # the limiter does not call the table for a while
    [line] = caplog.records
    found: dict[str, Any] = vars(line)
    assert found["RateLimiterDown"] == 1
    assert found["_aws"]["CloudWatchMetrics"][0]["Metrics"] == [{"Name": "RateLimiterDown", "Unit": "Count"}]
    counts.down = False
    clock.now += 6
    assert passes(limiter, "user:ada", 2) == 1


def test_a_missing_or_throttled_table_is_one_that_is_away(cloud: None, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(rate_limit.StoreUnavailable):
        CountTable("nowhere").take("user:ada", 1, 1, 1)

    def throttle(*_: Any, **__: Any) -> Any:
        raise ClientError({"Error": {"Code": "ThrottlingException", "Message": "slow"}}, "UpdateItem")

    monkeypatch.setattr(aws.client("dynamodb", attempts=1), "update_item", throttle)
    with pytest.raises(rate_limit.StoreUnavailable):
        CountTable("nowhere").take("user:ada", 1, 1, 1)


def test_spent_windows_expire(counts: Counting, clock: Clock) -> None:
    Limiter(counts, 5, clock).charge("user:ada", DEFAULT)

    [item] = boto3.client("dynamodb", "us-east-1").scan(TableName="RateLimitsTable")["Items"]

    assert int(item["ttl"]["N"]) == 1_002 * WINDOW


@pytest.mark.parametrize(
    ("caller", "address", "client"),
    [
        (ADA, "203.0.113.9", "user:ada"),
        (ANONYMOUS, "203.0.113.9", "address:203.0.113.9"),
        (ANONYMOUS, "2001:db8:1:2:3:4:5:6", "address:2001:db8:1:2::"),
        (ANONYMOUS, "::ffff:203.0.113.9", "address:203.0.113.9"),
        (ANONYMOUS, "", "address:unknown"),
    ],
)
def test_a_client_is_the_user_or_else_the_network_that_the_gateway_saw(
    caller: Caller, address: str, client: str
) -> None:
    assert client_of(caller, address) == client
