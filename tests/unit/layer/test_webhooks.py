"""A webhook's signature and its age."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from mercato import webhooks
from mercato.webhooks import InvalidSignature, sign, verify

SECRET = "s3cret"
BODY = b'{"id":"evt-1"}'


def signed(at: datetime, secret: str = SECRET, body: bytes = BODY) -> dict[str, str]:
    timestamp = str(int(at.timestamp()))
    return {"x-webhook-timestamp": timestamp, "x-webhook-signature": sign(secret, timestamp, body)}


@pytest.mark.parametrize("age", [0, 299, 300, -300])
def test_what_is_signed_with_our_secret_in_the_last_five_minutes_is_heard(noon: datetime, age: int) -> None:
    verify("s3cret", signed(noon - timedelta(seconds=age)), BODY, noon)


@pytest.mark.parametrize("age", [301, -301, 86400])
def test_what_is_old_or_from_the_future_is_not(noon: datetime, age: int) -> None:
    with pytest.raises(InvalidSignature):
        verify("s3cret", signed(noon - timedelta(seconds=age)), BODY, noon)


@pytest.mark.parametrize(
    "change",
    [
        {"x-webhook-signature": ""},
        {"x-webhook-signature": "ü" * 64},
        {"x-webhook-timestamp": ""},
        {"x-webhook-timestamp": "-1"},
        {"x-webhook-timestamp": "1e9"},
        {"x-webhook-timestamp": "9" * 400},
    ],
)
def test_what_is_not_a_signature_is_refused_and_breaks_nothing(noon: datetime, change: dict[str, str]) -> None:
    with pytest.raises(InvalidSignature):
        verify("s3cret", signed(noon) | change, BODY, noon)


def test_another_secret_body_or_time_is_another_signature(noon: datetime) -> None:
    moved = signed(noon) | {"x-webhook-timestamp": str(int(noon.timestamp()) + 1)}
    for headers, body in ((signed(noon, "other"), BODY), (signed(noon), BODY + b" "), (moved, BODY), ({}, BODY)):
        with pytest.raises(InvalidSignature):
            verify("s3cret", headers, body, noon)


@pytest.mark.parametrize("odd", ["\ud800", "é", "", "ab" * 32, "\x00"])
def test_an_odd_signature_or_timestamp_is_refused_and_raises_nothing_else(odd: str) -> None:
    with pytest.raises(InvalidSignature):
        webhooks.verify_any("secret", "1764331200", [odd], b"{}", datetime.fromtimestamp(1764331200, UTC))
    with pytest.raises(InvalidSignature):
        webhooks.verify_any("secret", odd, ["0" * 64], b"{}", datetime.fromtimestamp(1764331200, UTC))


def test_a_signature_may_be_written_in_capitals() -> None:
    signature = webhooks.sign("secret", "1764331200", b"{}").upper()
    webhooks.verify_any("secret", "1764331200", [signature], b"{}", datetime.fromtimestamp(1764331200, UTC))
