"""A table with the keys that every service's table has, since the layer knows no template."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace
from typing import Any

import boto3
import pytest

from mercato.breaker import Circuits
from mercato.breaker.memory import MemoryStore
from mercato.peers.client import ServiceClient
from mercato.peers.discovery import Addresses, Registry
from mercato.peers.peer import POLICY
from mercato.peers.retries import RetryBudget
from mercato.store.dynamo import Table
from tests.integration.layer.peers import Peer, running_peer


@pytest.fixture
def peer() -> Iterator[Peer]:
    with running_peer() as found:
        yield found


class At(Registry):
    """A registry that knows these addresses and returns the first that is not to be avoided."""

    def __init__(self, *urls: str) -> None:
        super().__init__("shop")
        self.urls = urls
        self.doubted: list[str] = []

    def find(self, service: str, avoid: Collection[str] = ()) -> str:
        return next((url for url in self.urls if url not in avoid), self.urls[0])

    def doubt(self, service: str) -> None:
        self.doubted.append(service)


@pytest.fixture
def waits() -> list[float]:
    return []


def client_of(registry: Addresses, waits: list[float], **how: Any) -> ServiceClient:
    """A client with a circuit that never opens. test_client_circuit.py tests those that open."""
    patient = Circuits(MemoryStore()).breaker("peer-products", replace(POLICY, failures=10**6))
    how.setdefault("budget", RetryBudget(10))  # enough for one retry
    return ServiceClient("products", registry, patient, sleep=waits.append, **how)


@pytest.fixture
def client(cloud: None, peer: Peer, waits: list[float]) -> ServiceClient:
    """A client with the longest jitter, which never sleeps."""
    return client_of(At(peer.url), waits, uniform=lambda _, longest: longest)


@pytest.fixture
def table(cloud: None) -> Table:
    names = ("pk", "sk", "gsi1pk", "gsi1sk")
    boto3.client("dynamodb", "us-east-1").create_table(
        TableName="things",
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in names],
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        GlobalSecondaryIndexes=[
            {
                "IndexName": "gsi1",
                "KeySchema": [
                    {"AttributeName": "gsi1pk", "KeyType": "HASH"},
                    {"AttributeName": "gsi1sk", "KeyType": "RANGE"},
                ],
                "Projection": {"ProjectionType": "ALL"},
            }
        ],
    )
    return Table("things", sleep=lambda _: None)
