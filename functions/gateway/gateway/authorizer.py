"""The Lambda authorizer (type TOKEN): returns the access token's holder to API Gateway. It only has public keys.

API Gateway caches the answer for 60 seconds. After that it refuses a token that was ended early.
"""

from __future__ import annotations

import re
from typing import Any

from gateway.access import Holder, Refused
from gateway.wiring import ports
from mercato.store import ended_access
from mercato.telemetry import failures
from mercato.telemetry.logs import log

# RFC 9110: the scheme is case-insensitive, and one or more spaces follow it.
_BEARER = re.compile(r"[Bb][Ee][Aa][Rr][Ee][Rr] +([A-Za-z0-9_\-]+\.[A-Za-z0-9_\-]+\.[A-Za-z0-9_\-]+) *")


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    try:
        holder = ports().verifier.verify(_token_in(event))
        table = ports().settings.rate_limits_table
        if table and ended_access.has_ended(table, holder.user_id, holder.issued_at):
            raise Refused("ended early")
    except Refused as refused:
        log.info("access token refused", extra={"reason": str(refused)})
        # API Gateway returns 401 for exactly this message, and 500 for any other.
        raise Exception("Unauthorized") from None
    except Exception:
        # Lambda's own count of errors has the refused tokens, too.
        failures.count()
        raise
    return allow(holder, event["methodArn"])


def allow(holder: Holder, method_arn: str) -> dict[str, Any]:
    """Allows the whole stage, since API Gateway caches the answer for the token and uses it for other paths."""
    api_arn, stage = method_arn.split("/")[:2]
    statement = {"Effect": "Allow", "Action": "execute-api:Invoke", "Resource": f"{api_arn}/{stage}/*"}
    return {
        "principalId": holder.user_id,
        "policyDocument": {"Version": "2012-10-17", "Statement": [statement]},
        "context": {"user_id": holder.user_id, "role": holder.role, "jti": holder.token_id},
    }


def _token_in(event: dict[str, Any]) -> str:
    match = _BEARER.fullmatch(event.get("authorizationToken") or "")
    if match is None:
        raise Refused("not a bearer token")
    return match[1]
