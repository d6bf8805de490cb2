"""The event that each kind of function answers without an effect, and the answer of a version that works.

They are the health check of an API, a log-in page, an empty batch, the saga's task `Health`, and a token that is signed
with an unknown key.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from typing import Any

from mercato.dataclass import dataclass


@dataclass(frozen=True)
class Question:
    """`is_well` takes the function's answer as JSON, or Lambda's description of the error that the function raised."""

    event: Mapping[str, Any]
    is_well: Callable[[Any], bool]


def _get(path: str) -> Question:
    """A request of payload 2.0, by a caller who is not known."""
    http = {"method": "GET", "path": path, "protocol": "HTTP/1.1", "sourceIp": "127.0.0.1", "userAgent": "rollout"}
    event = {
        "version": "2.0",
        "rawPath": path,
        "rawQueryString": "",
        "headers": {},
        "requestContext": {"http": http},
        "isBase64Encoded": False,
    }
    return Question(event, lambda answer: isinstance(answer, dict) and answer.get("statusCode") == 200)


def _token() -> str:
    """Its key id is of no key, so the authorizer reads the public keys and refuses it."""
    header, claims = {"alg": "ES256", "typ": "JWT", "kid": "of-no-key"}, {"sub": "rollout"}
    parts = [json.dumps(header).encode(), json.dumps(claims).encode(), bytes(64)]
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)


HEALTH = _get("/health")  # reads the service's table and finds its queue
SHOP_PAGE, CONSOLE_PAGE = _get("/login"), _get("/console/login")  # a form, for which no peer is called
BATCH = Question({"Records": []}, lambda answer: bool(answer == {"batchItemFailures": []}))
TASK = Question({"task": "Health", "input": {}}, lambda answer: isinstance(answer, dict) and bool(answer.get("tasks")))
TOKEN = Question(
    {
        "type": "TOKEN",
        "authorizationToken": f"Bearer {_token()}",
        "methodArn": "arn:aws:execute-api:us-east-1:000000000000:rollout/rollout/GET/api/orders",
    },
    lambda answer: isinstance(answer, dict) and answer.get("errorMessage") == "Unauthorized",
)

# By the end of the function's name.
_OF = {
    "api": HEALTH,
    "admin": HEALTH,
    "profile": HEALTH,
    "storefront-pages": SHOP_PAGE,
    "console-pages": CONSOLE_PAGE,
    "consumer": BATCH,
    "parked": BATCH,
    "scaler": BATCH,
    "renderer": BATCH,
    "carrier": BATCH,
    "relay": BATCH,
    "saga": TASK,
    "authorizer": TOKEN,
}


def question_for(function: str) -> Question | None:
    return next((question for name, question in _OF.items() if function.endswith(f"-{name}")), None)
