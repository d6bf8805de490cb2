"""How the meter signs the requests that it changed."""

from __future__ import annotations

import hashlib

from multidict import CIMultiDict

from tests.bench.meter import sign


def test_a_changed_request_is_the_operators_and_keeps_host_and_target() -> None:
    headers = CIMultiDict(
        {
            "Host": "127.0.0.1:9",
            "Authorization": "AWS4-HMAC-SHA256 Credential=ASIAX/20261122/us-east-1/dynamodb/aws4_request, …",
            "X-Amz-Security-Token": "token",
            "X-Amz-Date": "20200101T000000Z",
            "X-Amz-Target": "DynamoDB_20120810.PutItem",
        }
    )

    signed = sign(headers, "/", b"{}")

    assert signed["Authorization"].startswith("AWS4-HMAC-SHA256 Credential=test/")
    assert "X-Amz-Security-Token" not in signed
    assert signed["X-Amz-Date"] != "20200101T000000Z"
    assert (signed["Host"], signed["X-Amz-Target"]) == ("127.0.0.1:9", "DynamoDB_20120810.PutItem")
    assert hashlib.sha256(b"{}").hexdigest() == signed.get("X-Amz-Content-SHA256", hashlib.sha256(b"{}").hexdigest())
