"""How long a log-in takes with a wrong password, and for an address without an account; and how long a registration,
with an address that is free and with one that is taken.

    .venv/bin/python -m tests.bench.bench_login [rounds]

In this process, with the real hash and a table in memory: the two kinds alternate, so that both see the same machine.
Prints the medians and how far they are apart; more than 5 % is an exit status of 1. A median of a busy machine says
little, so this is no test.
"""

from __future__ import annotations

import os
import sys
import time
from datetime import UTC, datetime, timedelta
from statistics import median

import boto3
from moto import mock_aws

from mercato.store.dynamo import Table
from tests.kit.template import resources_of_type
from users import usecases
from users.domain import InvalidCredentials, User
from users.store import UserStore
from users.wiring import Ports, Settings

_MOST_APART = 0.05
_ROUNDS = 100


class NoTokens:
    """No attempt succeeds, so no token is issued."""

    def prepare(self) -> None:
        raise AssertionError

    def issue(self, user: User, now: datetime) -> str:
        raise AssertionError


def main(rounds: int) -> int:
    os.environ |= {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x", "AWS_DEFAULT_REGION": "us-east-1"}
    os.environ.pop("AWS_ENDPOINT_URL", None)
    with mock_aws():
        log_in = _compare("log-in", "wrong password", "unknown address", _measure(rounds), rounds)
    with mock_aws():
        registration = _compare("registration", "free address", "taken address", _measure_registration(rounds), rounds)
    return 0 if max(log_in, registration) <= _MOST_APART else 1


def _compare(what: str, one: str, other: str, found: tuple[float, float], rounds: int) -> float:
    apart = abs(found[0] - found[1]) / max(found)
    for name, seconds in zip((one, other), found, strict=True):
        print(f"{what:13} {name:16} {seconds * 1000:8.2f} ms (median of {rounds})")
    print(f"{what:13} {'apart':16} {apart:8.2%}    (at most {_MOST_APART:.0%})")
    return apart


def _measure_registration(rounds: int) -> tuple[float, float]:
    users = UserStore(_make_table())
    now = datetime(2026, 11, 22, 12, tzinfo=UTC)

    def register(email: str) -> float:
        start = time.perf_counter()
        usecases.register(email, "correct horse battery", "Ada Lovelace", now, users=users)
        return time.perf_counter() - start

    register("taken@example.com")
    found: tuple[list[float], list[float]] = ([], [])
    for one in range(rounds + 5):
        for kind in (0, 1) if one % 2 else (1, 0):
            found[kind].append(register((f"free-{one}@example.com", "taken@example.com")[kind]))
    return median(found[0][5:]), median(found[1][5:])


def _measure(rounds: int) -> tuple[float, float]:
    ports = Ports()
    vars(ports).update(table=_make_table(), settings=Settings(""), tokens=NoTokens())
    now = datetime(2026, 11, 22, 12, tzinfo=UTC)
    usecases.register("ada@example.com", "correct horse battery", "Ada Lovelace", now, users=ports.users)

    def log_in(email: str, at: datetime) -> float:
        start = time.perf_counter()
        try:
            usecases.log_in(email, "a wrong one", "203.0.113.9", ports, at)
        except InvalidCredentials:
            return time.perf_counter() - start
        raise SystemExit(f"{email} was let in")

    found: tuple[list[float], list[float]] = ([], [])
    for one in range(rounds + 5):
        at = now + timedelta(hours=one)  # no attempt has to wait
        # The kinds alternate in being first, since the second one finds warmer caches.
        for kind in (0, 1) if one % 2 else (1, 0):
            found[kind].append(log_in(("ada@example.com", "nobody@example.com")[kind], at))
    return median(found[0][5:]), median(found[1][5:])


def _make_table() -> Table:
    properties = resources_of_type("AWS::DynamoDB::Table")["UsersTable"]["Properties"]
    taken = ("AttributeDefinitions", "KeySchema", "GlobalSecondaryIndexes", "BillingMode")
    boto3.client("dynamodb", "us-east-1").create_table(
        TableName="users", **{name: properties[name] for name in taken if name in properties}
    )
    return Table("users")


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else _ROUNDS))
