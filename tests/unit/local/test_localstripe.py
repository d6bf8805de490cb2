"""localstripe as a process of the shop: it starts, answers and ends. A used port is an error with its remedy."""

from __future__ import annotations

import importlib.util
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.local import deploy, localstripe
from infra.local.cloud import Cloud
from infra.local.localstripe import LocalStripe
from infra.local.processes import free_port, is_free
from infra.trouble import Trouble
from mercato.clock import utc_now
from payments.providers.stripe import StripeProvider

CLOUD = Cloud(4566)


@pytest.fixture
def taken() -> Iterator[socket.socket]:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        yield other


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(localstripe, "HOME", tmp_path)


def test_it_answers_until_it_is_stopped_and_leaves_no_process() -> None:
    port = free_port()
    stripe = LocalStripe(port)
    stripe.start(CLOUD)
    try:
        stripe.tell("http://localhost:3000/api/payments/webhooks/stripe")
        assert stripe.get("/v1/payment_intents")["data"] == []
        stripe.child.require_running()
    finally:
        stripe.stop()
    assert not stripe.child.is_running()
    assert is_free(port)


def test_it_lists_that_there_are_no_disputes_as_stripe_does() -> None:
    stripe = LocalStripe(free_port())
    stripe.start(CLOUD)
    try:
        assert StripeProvider(lambda: stripe.key, lambda: None, stripe.url).list_disputes(utc_now()) == []
        assert StripeProvider(lambda: stripe.key, lambda: None, stripe.url).disputes("pi_1") == []
        assert StripeProvider(lambda: stripe.key, lambda: None, stripe.url).find("pi_1") is None
    finally:
        stripe.stop()


def test_a_port_that_is_taken_is_said_so_with_what_to_do(taken: socket.socket) -> None:
    port = taken.getsockname()[1]
    with pytest.raises(Trouble, match=f"port {port}, for localstripe, is in use") as trouble:
        LocalStripe(port).start(CLOUD)
    assert "STRIPE_PORT" in trouble.value.remedy


def test_without_the_package_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(Trouble, match="localstripe is not installed") as trouble:
        LocalStripe(1).start(CLOUD)
    assert "make clean setup" in trouble.value.remedy


def test_parameters_of_one_deploy_come_on_top_of_those_of_every_deploy() -> None:
    found = {one["ParameterKey"]: one["ParameterValue"] for one in deploy.parameters({"LogLevel": "DEBUG"})}
    assert found["Environment"] == "local"
    assert found["LogLevel"] == "DEBUG"
    assert found["AllowedOrigins"] == "http://localhost:5173,http://localhost:8080"
    assert "LogLevel" not in {one["ParameterKey"] for one in deploy.parameters({})}
