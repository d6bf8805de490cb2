"""Powertools' own breaker in virtual sandboxes. Its module state is swapped with the sandbox, and its clock is
replaced.

One sandbox has one thread's probe owner, the counters of its module, and a persistence layer with its cache. The table
behind all of them is one dictionary, with the conditions that its DynamoDB layer writes.
"""

from __future__ import annotations

import datetime
import heapq
import logging
import random
from dataclasses import replace
from types import SimpleNamespace
from typing import Any
from unittest import mock

from aws_lambda_powertools.utilities.circuit_breaker import CircuitBreakerConfig, CircuitBreakerOpenError, base
from aws_lambda_powertools.utilities.circuit_breaker.persistence import base as persistence_base
from aws_lambda_powertools.utilities.circuit_breaker.persistence.base import (
    CircuitBreakerExistingLockError,
    CircuitBreakerPersistenceLayer,
)
from aws_lambda_powertools.utilities.circuit_breaker.persistence.record import CircuitStateRecord
from aws_lambda_powertools.utilities.circuit_breaker.states import CircuitState

from tests.bench.simulation import LATENCY, START, Down, arrivals, fails


class MemoryPersistence(CircuitBreakerPersistenceLayer):
    """Behaves as CircuitBreakerDynamoDBPersistence, on a dictionary that several may share."""

    def __init__(self, table: dict[str, CircuitStateRecord], now: Any = None) -> None:
        super().__init__()
        self._table = table
        self._now = now or (lambda: datetime.datetime.now(datetime.UTC).timestamp())

    def _get_record(self, name: str) -> CircuitStateRecord | None:
        return self._table.get(name)

    def _put_record(
        self, record: CircuitStateRecord, condition: str | None = None, expected_opened_at: int | None = None
    ) -> None:
        if condition == "half_open":
            known = self._table.get(record.name)
            opens = known is not None and known.state == CircuitState.OPEN and known.half_open_owner is None
            is_free = opens and known is not None and known.opened_at == expected_opened_at
            has_lease = known is not None and known.state == CircuitState.HALF_OPEN and known.probe_lease_expiry
            if not is_free and not (has_lease and has_lease <= int(self._now())):
                raise CircuitBreakerExistingLockError
        self._table[record.name] = record

    def _update_record(self, record: CircuitStateRecord) -> None:
        self._table[record.name] = replace(record, half_open_owner=None, probe_lease_expiry=None)


class _World:
    now = 0.0


class _Sandbox:
    def __init__(self, index: int, table: dict[str, CircuitStateRecord], world: _World) -> None:
        self.owner = f"sandbox-{index}"
        self.persistence = MemoryPersistence(table, lambda: START + world.now)
        self.failures: dict[str, int] = {}
        self.successes: dict[str, int] = {}
        self.observed: dict[str, CircuitState] = {}

    def call(self, function: Any, config: CircuitBreakerConfig) -> None:
        base._LOCAL_FAILURES, base._LOCAL_SUCCESSES = self.failures, self.successes
        base._LAST_OBSERVED_STATE = self.observed
        base._probe_owner_id = lambda: self.owner
        try:
            base.CircuitBreakerHandler(function, "peer", config, self.persistence, None).handle()
        except (Down, CircuitBreakerOpenError):
            return


def recovery_of_powertools(sandboxes: int, calls_per_second: float, seed: int = 7, limit: float = 4000.0) -> float:
    """Seconds from the trip until the circuit is closed, as simulation.recovery_of_ours. A call takes no time."""
    rng = random.Random(seed)
    world = _World()
    clock = SimpleNamespace(datetime=SimpleNamespace(now=lambda: SimpleNamespace(timestamp=lambda: START + world.now)))
    table: dict[str, CircuitStateRecord] = {}
    config = CircuitBreakerConfig(failure_threshold=5, recovery_timeout=30, success_threshold=3)
    keep = ("_LOCAL_FAILURES", "_LOCAL_SUCCESSES", "_LAST_OBSERVED_STATE", "_probe_owner_id")
    kept = {name: getattr(base, name) for name in keep}
    logging.getLogger(base.__name__).setLevel(logging.ERROR)
    fleet = [_Sandbox(index, table, world) for index in range(sandboxes)]
    with mock.patch.object(base, "dt", clock), mock.patch.object(persistence_base, "dt", clock):
        try:
            for _ in range(5):
                fleet[0].call(fails, config)
            calls = arrivals(sandboxes, calls_per_second, rng)
            while world.now < limit:
                world.now, index = heapq.heappop(calls)
                heapq.heappush(calls, (world.now + rng.expovariate(calls_per_second), index))
                fleet[index].call(lambda: None, config)
                if table["peer"].state == CircuitState.CLOSED:
                    return world.now + LATENCY
        finally:
            for name, value in kept.items():
                setattr(base, name, value)
    return limit
