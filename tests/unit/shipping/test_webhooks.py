from datetime import datetime

import pytest

from shipping.webhooks import InvalidSignature, sign, verify

SECRET = "s3cret"
BODY = b'{"status": "delivered"}'


def headers(noon: datetime, *, age: int = 0, body: bytes = BODY, secret: str = SECRET) -> dict[str, str]:
    timestamp = str(int(noon.timestamp()) - age)
    return {"x-webhook-timestamp": timestamp, "x-webhook-signature": sign(secret, timestamp, body)}


@pytest.mark.parametrize("age", [0, 300, -300])
def test_a_signed_webhook_of_the_last_five_minutes_is_taken(noon: datetime, age: int) -> None:
    verify(SECRET, headers(noon, age=age), BODY, noon)


@pytest.mark.parametrize("age", [301, 86_400, -301])
def test_one_that_is_too_old_or_from_the_future_is_refused(noon: datetime, age: int) -> None:
    with pytest.raises(InvalidSignature):
        verify(SECRET, headers(noon, age=age), BODY, noon)


def test_another_body_secret_or_timestamp_is_refused(noon: datetime) -> None:
    good = headers(noon)
    for found, body in (
        (good, BODY + b" "),
        (headers(noon, secret="other"), BODY),
        (good | {"x-webhook-timestamp": str(int(noon.timestamp()) + 1)}, BODY),
    ):
        with pytest.raises(InvalidSignature):
            verify(SECRET, found, body, noon)


@pytest.mark.parametrize(
    "changes",
    [
        {"x-webhook-timestamp": ""},
        {"x-webhook-timestamp": "now"},
        {"x-webhook-timestamp": "١٢٣"},
        {"x-webhook-timestamp": "9" * 5000},
        {"x-webhook-signature": ""},
        {"x-webhook-signature": "é"},
    ],
)
def test_headers_that_cannot_be_read_are_refused(noon: datetime, changes: dict[str, str]) -> None:
    with pytest.raises(InvalidSignature):
        verify(SECRET, headers(noon) | changes, BODY, noon)


def test_no_headers_at_all_are_refused(noon: datetime) -> None:
    with pytest.raises(InvalidSignature):
        verify(SECRET, {}, BODY, noon)
