"""How the meter tells functions apart, and signs what it changed."""

from __future__ import annotations

import hashlib
from pathlib import Path

from multidict import CIMultiDict

from tests.bench.meter import name_function, sign


def test_a_function_says_its_name_before_it_starts(tmp_path: Path) -> None:
    bootstrap = tmp_path / "OrdersApi" / "bootstrap"
    bootstrap.parent.mkdir()
    bootstrap.write_text("#!/bin/sh\nexport A=b\nexec python -m awslambdaric\n")

    name_function(bootstrap)

    said = "export AWS_SDK_UA_APP_ID=OrdersApi\nexec python -m awslambdaric\n"
    assert bootstrap.read_text() == f"#!/bin/sh\nexport A=b\n{said}"


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
