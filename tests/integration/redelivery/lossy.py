"""A wire that loses an answer: AWS does the call, its answer never comes, and botocore sends the call again."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from typing import Any

from botocore.awsrequest import AWSResponse, HTTPHeaders
from botocore.exceptions import ConnectionClosedError
from moto.core.models import botocore_stubber

from mercato import aws

# The operations with which handlers change anything, by service. Repeating a read is harmless.
WRITES = {
    "dynamodb": ("PutItem", "UpdateItem", "DeleteItem", "TransactWriteItems", "BatchWriteItem"),
    "sqs": ("SendMessage", "SendMessageBatch", "DeleteMessage", "DeleteMessageBatch", "ChangeMessageVisibilityBatch"),
    "events": ("PutEvents",),
    "stepfunctions": ("StartExecution", "SendTaskSuccess", "RedriveExecution"),
}


class RawResponse(io.BytesIO):
    """The body of an answer as botocore reads it."""

    def stream(self, **_: Any) -> Iterator[bytes]:
        yield self.read()


class Wire:
    """Between the clients of `mercato.aws` that are made from now on, and moto.

    As on AWS, and unlike moto, a transaction that comes again with its ClientRequestToken is not done again.
    """

    def __init__(self) -> None:
        self.arrived: list[str] = []
        self.has_lost = False
        self._lost = -1
        self._tokens: set[str] = set()
        emitter = aws.session().get_component("event_emitter")
        for service, operations in WRITES.items():
            for operation in operations:
                emitter.register_first(f"before-send.{service}.{operation}", self._meet)

    def lose(self, number: int) -> None:
        """The answer of the write of this number, counted from now on from 0; of none where it is negative."""
        self.arrived, self.has_lost, self._lost = [], False, number
        self._tokens.clear()

    def _meet(self, request: Any, event_name: str, **_: Any) -> AWSResponse | None:
        self.arrived.append(event_name.rpartition(".")[2])
        token = json.loads(request.body).get("ClientRequestToken") if "dynamodb" in event_name else None
        if token in self._tokens:
            return AWSResponse(request.url, 200, HTTPHeaders(), RawResponse(b"{}"))
        is_lost = len(self.arrived) - 1 == self._lost
        if token or is_lost:
            answer: Any = botocore_stubber(event_name=event_name, request=request)
            if token and answer.status_code == 200:
                self._tokens.add(token)
            if is_lost:
                self.has_lost = True
                raise ConnectionClosedError(endpoint_url=request.url)
            return answer  # type: ignore[no-any-return]
        return None
