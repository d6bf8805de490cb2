"""Makes events in the format in which AWS passes them to a function.

tests/contract/test_aws_events.py compares the formats with AWS's own samples. A test of a malformed event changes one
of these events.
"""

from __future__ import annotations

import base64
import hashlib
import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl

ACCOUNT = "123456789012"
REGION = "us-east-1"
NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)

Event = dict[str, Any]


def _text(body: Any) -> str | None:
    return body if body is None or isinstance(body, str) else json.dumps(body)


def rest_request(
    method: str,
    path: str,
    body: Any = None,
    *,
    user: str | None = None,
    role: str | None = "customer",
    headers: Mapping[str, str] | None = None,
    query: Mapping[str, str] | None = None,
    source: str = "203.0.113.9",
) -> Event:
    """Returns the proxy event of a REST API. Its authorizer returned `user` and `role`; without a user it did not run.

    A `body` that is neither text nor None is sent as JSON.
    """
    context: Event = {
        "accountId": ACCOUNT,
        "apiId": "1234567890",
        "domainName": f"1234567890.execute-api.{REGION}.amazonaws.com",
        "httpMethod": method,
        "identity": {"sourceIp": source, "userAgent": "tests"},
        "path": f"/live{path}",
        "protocol": "HTTP/1.1",
        "requestId": "c6af9ac6-7b61-11e6-9a41-93e8deadbeef",
        "requestTime": f"{NOON:%d/%b/%Y:%H:%M:%S} +0000",
        "requestTimeEpoch": int(NOON.timestamp() * 1000),
        "resourceId": "123456",
        "resourcePath": path,
        "stage": "live",
    }
    if user:
        context["authorizer"] = {"principalId": user, "user_id": user, "role": role}
    return {
        "resource": path,
        "path": path,
        "httpMethod": method,
        "headers": dict(headers or {}),
        "multiValueHeaders": {name: [value] for name, value in (headers or {}).items()},
        "queryStringParameters": dict(query) if query else None,
        "multiValueQueryStringParameters": {name: [value] for name, value in query.items()} if query else None,
        "pathParameters": None,
        "stageVariables": None,
        "requestContext": context,
        "body": _text(body),
        "isBase64Encoded": False,
    }


def url_request(
    method: str,
    path: str,
    body: Any = None,
    *,
    peer: str | None = "gateway",
    headers: Mapping[str, str] | None = None,
    query: str = "",
    source: str = "203.0.113.9",
) -> Event:
    """Returns a function URL's event (payload 2.0), signed by the role of the service `peer`, or unsigned if None."""
    event = _payload_2(method, path, query, headers, source, domain=f"abc123.lambda-url.{REGION}.on.aws")
    if body is not None:
        event["body"] = _text(body)
    if not peer:
        event["requestContext"]["accountId"] = "anonymous"
        return event
    event["requestContext"]["authorizer"] = _signed_by(peer, peer)
    return event


def http_api_request(
    method: str,
    path: str,
    body: bytes = b"",
    *,
    headers: Mapping[str, str] | None = None,
    cookies: Sequence[str] = (),
    query: str = "",
    source: str = "203.0.113.9",
) -> Event:
    """Returns the event of an HTTP API (payload 2.0). The body is in base64, as for a form."""
    event = _payload_2(method, path, query, headers, source, domain=f"abc123.execute-api.{REGION}.amazonaws.com")
    if cookies:
        event["cookies"] = list(cookies)
    return event | {"body": base64.b64encode(body).decode(), "isBase64Encoded": True}


def ingress_request(
    method: str,
    path: str,
    body: Any = None,
    *,
    api: str = "ingress123456",
    service: str = "products",
    version: str = "live",
    certificate: str | None = "CN=orders",
    function: str | None = "shop-orders-api",
    headers: Mapping[str, str] | None = None,
    query: str = "",
) -> Event:
    """Returns the event of the mesh's ingress, an HTTP API (payload 2.0) with mutual TLS and IAM.

    `certificate` is the subject of the client's certificate; None if it has shown none. `function` has signed the call;
    None if nobody has.
    """
    whole = f"/{service}/{version}{path}"
    event = _payload_2(method, whole, query, headers, "203.0.113.9", domain="mesh.shop.example")
    event["routeKey"] = f"ANY /{service}/{version}/{{proxy+}}"
    event["pathParameters"] = {"proxy": path.removeprefix("/")}
    event["requestContext"] |= {"apiId": api, "routeKey": event["routeKey"]}
    if certificate is not None:
        validity = {"notBefore": "Nov 22 06:00:00 2026 GMT", "notAfter": "Nov 23 06:00:00 2026 GMT"}
        shown = {"clientCertPem": "CERT_CONTENT", "subjectDN": certificate, "issuerDN": "CN=mercato"}
        event["requestContext"]["authentication"] = {
            "clientCert": shown | {"serialNumber": "a1:a1:a1:a1", "validity": validity}
        }
    if function is not None:
        event["requestContext"]["authorizer"] = _signed_by(f"{function}-role", function)
    return event if body is None else event | {"body": _text(body)}


def _signed_by(role: str, session: str) -> Event:
    return {
        "iam": {
            "accessKey": "ASIAIOSFODNN7EXAMPLE",
            "accountId": ACCOUNT,
            "callerId": f"AROAIOSFODNN7EXAMPLE:{session}",
            "cognitoIdentity": None,
            "principalOrgId": None,
            "userArn": f"arn:aws:sts::{ACCOUNT}:assumed-role/{role}/{session}",
            "userId": f"AROAIOSFODNN7EXAMPLE:{session}",
        }
    }


def _payload_2(
    method: str, path: str, query: str, headers: Mapping[str, str] | None, source: str, domain: str
) -> Event:
    event: Event = {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": query,
        "headers": {name.lower(): value for name, value in (headers or {}).items()},
        "requestContext": {
            "accountId": ACCOUNT,
            "apiId": domain.partition(".")[0],
            "domainName": domain,
            "domainPrefix": domain.partition(".")[0],
            "http": {"method": method, "path": path, "protocol": "HTTP/1.1", "sourceIp": source, "userAgent": "tests"},
            "requestId": "e1506fd5-9e7b-434f-bd42-4f8fa224b599",
            "routeKey": "$default",
            "stage": "$default",
            "time": f"{NOON:%d/%b/%Y:%H:%M:%S} +0000",
            "timeEpoch": int(NOON.timestamp() * 1000),
        },
        "isBase64Encoded": False,
    }
    if query:
        event["queryStringParameters"] = dict(parse_qsl(query, keep_blank_values=True))
    return event


def token_request(token: Any, method_arn: str) -> Event:
    """Returns the event that a REST API sends to its TOKEN authorizer."""
    return {"type": "TOKEN", "authorizationToken": token, "methodArn": method_arn}


@dataclass
class Context:
    """The context of an invocation that has a fixed time left, in milliseconds."""

    left: int

    def get_remaining_time_in_millis(self) -> int:
        return self.left


def records(*found: Mapping[str, Any]) -> Event:
    """Returns a batch of SQS messages or of stream records."""
    return {"Records": list(found)}


def sqs_record(body: Any, queue: str = "shop-queue", *, message_id: str = "m-1", receives: int = 1) -> Event:
    """Returns one message of a queue as Lambda passes it. `receives` is the message's number of receives."""
    text = _text(body) or ""
    return {
        "messageId": message_id,
        "receiptHandle": f"handle-of-{message_id}",
        "body": text,
        "attributes": {
            "ApproximateReceiveCount": str(receives),
            "SentTimestamp": str(int(NOON.timestamp() * 1000)),
            "SenderId": "AIDAIENQZJOLO23YVJ4VO",
            "ApproximateFirstReceiveTimestamp": str(int(NOON.timestamp() * 1000) + 1),
        },
        "messageAttributes": {},
        "md5OfBody": hashlib.md5(text.encode(), usedforsecurity=False).hexdigest(),
        "eventSource": "aws:sqs",
        "eventSourceARN": f"arn:aws:sqs:{REGION}:{ACCOUNT}:{queue}",
        "awsRegion": REGION,
    }


def received(message: Mapping[str, Any], queue: str, **attributes: str) -> Event:
    """Converts a message that SQS's ReceiveMessage returned to the format in which Lambda passes it."""
    return sqs_record(message["Body"], queue, message_id=message["MessageId"]) | {
        "receiptHandle": message["ReceiptHandle"],
        "md5OfBody": message["MD5OfBody"],
        "attributes": message.get("Attributes", {}) | attributes,
        "messageAttributes": {
            name: {"dataType": value["DataType"], "stringValue": value["StringValue"]}
            for name, value in message.get("MessageAttributes", {}).items()
        },
    }


def bus_event(detail: Mapping[str, Any]) -> Event:
    """Returns EventBridge's event for a published event, as a rule sends it to a queue."""
    return {
        "version": "0",
        "id": str(uuid.uuid5(uuid.NAMESPACE_OID, str(detail.get("id")))),
        "detail-type": detail.get("type"),
        "source": detail.get("source"),
        "account": ACCOUNT,
        "time": f"{NOON:%Y-%m-%dT%H:%M:%SZ}",
        "region": REGION,
        "resources": [],
        "detail": dict(detail),
    }


def object_created(bucket: str, key: str, size: int = 1024) -> Event:
    """Returns S3's event for an upload, as a rule of the default bus sends it to a queue."""
    detail = {
        "version": "0",
        "bucket": {"name": bucket},
        "object": {
            "key": key,
            "size": size,
            "etag": "b1946ac92492d2347c6235b4d2611184",
            "sequencer": "00617F08299329D1",
        },
        "request-id": "N4N7GDK58NMKJ12R",
        "requester": ACCOUNT,
        "source-ip-address": "203.0.113.9",
        "reason": "POST Object",
    }
    event = bus_event({"id": key, "type": "Object Created", "source": "aws.s3"})
    return event | {"resources": [f"arn:aws:s3:::{bucket}"], "detail": detail}


def mail_report(name: str, about: Mapping[str, Any], to: str, event_id: str, time: str) -> Event:
    """Returns the event with which SES reports of a mail, such as `Bounced`, on the account's default bus."""
    mail = {
        "timestamp": time,
        "source": "shop@mercato.example",
        "messageId": "0100018",
        "destination": [to],
        "tags": {"ses:configuration-set": ["shop-mails"]},
    }
    event = bus_event({"id": event_id, "type": f"Email {name}", "source": "aws.ses"})
    return event | {"resources": ["arn:aws:ses:eu-west-1:1:identity/x"], "detail": {**about, "mail": mail}}


def bus_record(
    detail: Mapping[str, Any], queue: str = "shop-queue", *, message_id: str = "m-1", receives: int = 1
) -> Event:
    """Returns the message of a queue to which a rule of the bus sent the published event."""
    return sqs_record(bus_event(detail), queue, message_id=message_id, receives=receives)


def stream_record(
    image: Mapping[str, Any], *, number: str = "1", name: str = "INSERT", keys: tuple[str, ...] = ("pk", "sk")
) -> Event:
    """Returns a record of a table's stream with the view NEW_IMAGE. `image` has typed values: `{"pk": {"S": "a"}}`."""
    return {
        "eventID": hashlib.md5(number.encode(), usedforsecurity=False).hexdigest(),
        "eventName": name,
        "eventVersion": "1.1",
        "eventSource": "aws:dynamodb",
        "awsRegion": REGION,
        "dynamodb": {
            "ApproximateCreationDateTime": int(NOON.timestamp()),
            "Keys": {key: image[key] for key in keys if key in image},
            "NewImage": dict(image),
            "SequenceNumber": number,
            "SizeBytes": len(json.dumps(image, default=repr)),
            "StreamViewType": "NEW_IMAGE",
        },
        "eventSourceARN": f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/ShopTable/stream/2026-11-22T12:00:00.000",
    }


def stream_failure(stream_arn: str, shard: str, first: str, last: str, size: int) -> Event:
    """Returns the message that Lambda sends to the failure queue after the last retry of a stream's records."""
    return {
        "requestContext": {
            "requestId": "316aa6d0-8154-xmpl-9af7-85d5f4a6bc81",
            "functionArn": f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:shop-relay",
            "condition": "RetryAttemptsExhausted",
            "approximateInvokeCount": 1,
        },
        "responseContext": {"statusCode": 200, "executedVersion": "1", "functionError": "Unhandled"},
        "version": "1.0",
        "timestamp": f"{NOON:%Y-%m-%dT%H:%M:%S.000Z}",
        "DDBStreamBatchInfo": {
            "shardId": shard,
            "startSequenceNumber": first,
            "endSequenceNumber": last,
            "approximateArrivalOfFirstRecord": f"{NOON:%Y-%m-%dT%H:%M:%SZ}",
            "approximateArrivalOfLastRecord": f"{NOON:%Y-%m-%dT%H:%M:%SZ}",
            "batchSize": size,
            "streamArn": stream_arn,
        },
    }


def scheduled_event(rule: str = "shop-rule") -> Event:
    """Returns the event that EventBridge sends to the target of a scheduled rule."""
    return {
        "version": "0",
        "id": "53dc4d37-cffa-4f76-80c9-8b7d4a4d2eaa",
        "detail-type": "Scheduled Event",
        "source": "aws.events",
        "account": ACCOUNT,
        "time": f"{NOON:%Y-%m-%dT%H:%M:%SZ}",
        "region": REGION,
        "resources": [f"arn:aws:events:{REGION}:{ACCOUNT}:rule/{rule}"],
        "detail": {},
    }


def task(
    name: str, task_input: Mapping[str, Any], *, correlation_id: str = "req-12345678", traceparent: str = ""
) -> Event:
    """Returns the payload with which the order's state machine calls a task's function."""
    return {"task": name, "correlation_id": correlation_id, "traceparent": traceparent, "input": dict(task_input)}
