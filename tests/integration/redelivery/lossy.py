"""A connection that loses responses: AWS executes the call, its response is lost, and botocore repeats the call."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from typing import Any

from botocore.awsrequest import AWSResponse, HTTPHeaders
from botocore.exceptions import ConnectionClosedError
from moto.core.models import botocore_stubber

from mercato import aws

# The writing operations of the handlers, by service. Repeating a read is harmless.
WRITES = {
    "dynamodb": ("PutItem", "UpdateItem", "DeleteItem", "TransactWriteItems", "BatchWriteItem"),
    "sqs": ("SendMessage", "SendMessageBatch", "DeleteMessage", "DeleteMessageBatch", "ChangeMessageVisibilityBatch"),
    "events": ("PutEvents",),
    "stepfunctions": ("StartExecution", "SendTaskSuccess", "RedriveExecution"),
}


class RawResponse(io.BytesIO):
    """A response's body, as botocore reads it."""

    def stream(self, **_: Any) -> Iterator[bytes]:
        yield self.read()


class Wire:
    """Between moto and all clients of `mercato.aws` that are made from now on.

    As on AWS, and unlike moto, a transaction that is repeated with its ClientRequestToken is not executed again.
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
        """Loses the response of the write of this number, counted from 0 from now on. A negative number loses none."""
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
