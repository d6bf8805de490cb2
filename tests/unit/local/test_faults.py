from __future__ import annotations

import random
from collections import Counter

import pytest
from microburst.core.context import RequestContext
from microburst.rules import RuleEngine, describe

from infra.local.faults import _kind, rules

CALLS = 20_000


def context(service: str) -> RequestContext:
    return RequestContext(method="POST", path="/", query={}, headers={}, body=None, service=service)


@pytest.mark.parametrize("service", ["dynamodb", "sqs", "lambda"])
def test_a_tenth_of_all_calls_fails_half_by_throttling(service: str) -> None:
    random.seed(7)
    engine = RuleEngine()
    engine.set_rules(rules(0.10))

    decisions = [engine.decide(context(service)) for _ in range(CALLS)]

    kinds = Counter(_kind(describe(decision)) for decision in decisions if decision is not None)
    assert sum(kinds.values()) / CALLS == pytest.approx(0.10, rel=0.1)
    assert kinds["throttle"] / CALLS == pytest.approx(0.05, rel=0.15)
    assert kinds["reset"] / CALLS == pytest.approx(0.03, rel=0.15)
    assert kinds["lost"] / CALLS == pytest.approx(0.02, rel=0.15)


def test_calls_that_are_slow_come_on_top_of_those_that_fail() -> None:
    random.seed(7)
    engine = RuleEngine()
    engine.set_rules(rules(0.10, slow=0.20))

    decisions = [engine.decide(context("dynamodb")) for _ in range(CALLS)]

    kinds = Counter(_kind(describe(decision)) for decision in decisions if decision is not None)
    assert kinds["slow"] / CALLS == pytest.approx(0.18, rel=0.1)
    assert (kinds.total() - kinds["slow"]) / CALLS == pytest.approx(0.10, rel=0.1)
    waits = [decision.latency_ms for decision in decisions if decision is not None and decision.latency_ms]
    assert min(waits) >= 200
    assert max(waits) <= 1500


def test_no_rate_no_faults() -> None:
    assert rules(0) == []


@pytest.mark.parametrize("rate", [-0.1, 1.0])
def test_a_rate_that_is_none_is_refused(rate: float) -> None:
    with pytest.raises(ValueError, match="rate of faults"):
        rules(rate)
