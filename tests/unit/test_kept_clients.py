"""A client is kept from one test to the next only where no test can notice."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.retries.quota import RetryQuota

from mercato import aws


def again(service: str = "dynamodb") -> Any:
    """The client that the next test gets."""
    aws.reset()
    return aws.client(service)


def test_a_client_is_kept_with_its_settings(cloud: None) -> None:
    first, patient = aws.client("dynamodb"), aws.client("dynamodb", patience=9)

    assert again() is first
    assert aws.client("dynamodb", patience=9) is patient
    assert patient is not first
    assert first.meta.config.read_timeout != patient.meta.config.read_timeout == 9


def test_in_another_environment_it_is_another_client(cloud: None, monkeypatch: pytest.MonkeyPatch) -> None:
    first = aws.client("dynamodb")
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")

    assert again().meta.region_name == "eu-west-1" != first.meta.region_name


def test_a_client_or_a_session_whose_handlers_were_changed_is_not_kept(cloud: None) -> None:
    heard: list[object] = []
    first = aws.client("dynamodb")
    first.meta.events.register("before-call.dynamodb", lambda **_: heard.append(1))
    first.list_tables()
    again().list_tables()
    assert heard == [1]

    aws.session().register("before-call.dynamodb", lambda **_: heard.append(2))
    aws.client("s3").list_buckets()
    assert again().list_tables()["TableNames"] == []
    assert heard == [1]


def test_after_a_repeated_call_no_client_is_kept(cloud: None) -> None:
    first, other = aws.client("dynamodb"), aws.client("s3")
    quota = RetryQuota()
    assert again() is first

    quota.acquire(5)
    assert again() is not first
    assert again("s3") is not other
