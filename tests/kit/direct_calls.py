"""A call of DynamoDB goes from botocore's serializer to moto, and from moto to botocore's parser, without HTTP between.

The way between them takes more than half of a call: botocore emits ten events, finds an address, and makes headers and
a request for each attempt. Its validation, its bodies and its errors stay, and so do moto's.

A client whose event handlers a test has changed takes the whole way: a test may look at a request there, answer it, or
break its connection. So does a client that moto does not answer, and any service but DynamoDB.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from botocore.awsrequest import HeadersDict
from moto.core.models import DEFAULT_ACCOUNT_ID, botocore_stubber
from moto.core.utils import utcnow
from moto.dynamodb.responses import DynamoHandler
from werkzeug.http import http_date

from tests.kit import kept_clients

ADDRESS = re.compile(r"https://dynamodb\.([a-z0-9-]+)\.amazonaws\.com/?")

Answer = tuple[int, dict[str, Any], Any]  # status, headers, body


def answer(region: str, headers: dict[str, str], body: bytes) -> Answer:
    """Returns moto's answer to a request."""
    handler: Any = DynamoHandler()
    handler.headers, handler.querystring, handler.uri_match = headers, {}, {}
    handler.region, handler.partition, handler.current_account = region, "aws", DEFAULT_ACCOUNT_ID
    handler.response_headers = {"server": "amazon.com", "date": http_date(utcnow())}
    handler.parse_parameters(
        SimpleNamespace(
            method="POST", content_type=headers["Content-Type"], values={}, headers=headers, data=body, path="/"
        )
    )
    found: Answer = handler.call_action()
    return found


def directly(make_api_call: Callable[..., Any]) -> Callable[..., Any]:
    """`BaseClient._make_api_call` for the clients that may be called directly."""

    @functools.wraps(make_api_call)
    def call(client: Any, operation: str, parameters: dict[str, Any]) -> Any:
        if not botocore_stubber.enabled or kept_clients.is_changed(client.meta.events):
            return make_api_call(client, operation, parameters)
        address = ADDRESS.fullmatch(client.meta.endpoint_url)
        if address is None:
            return make_api_call(client, operation, parameters)
        model = client.meta.service_model.operation_model(operation)
        request = client._serializer.serialize_to_request(parameters, model)
        status, headers, body = answer(address[1], request["headers"], request["body"])
        found = {"status_code": status, "headers": HeadersDict(headers), "body": body.encode()}
        parsed = client._response_parser.parse(found, model.output_shape)
        parsed["ResponseMetadata"]["RetryAttempts"] = 0
        if status < 300:
            return parsed
        client._endpoint._add_modeled_error_fields(found, parsed, model, client._response_parser)
        raise client.exceptions.from_code(parsed.get("Error", {}).get("Code"))(parsed, operation)

    return call
