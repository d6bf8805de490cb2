"""The caller: a user, as the gateway's authorizer states, or a peer service, as its IAM signature proves.

Headers count only if a peer has signed them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Role(StrEnum):
    PUBLIC = "public"
    CUSTOMER = "customer"
    ADMIN = "admin"
    PEER = "peer"


@dataclass(frozen=True)
class Caller:
    """`user_id` is the user on whose behalf the call is made; empty for the public and for a peer's own calls."""

    role: Role
    user_id: str = ""
    peer_arn: str = ""

    @property
    def is_admin(self) -> bool:
        return self.role is Role.ADMIN

    @property
    def is_peer(self) -> bool:
        return self.role is Role.PEER


ANONYMOUS = Caller(Role.PUBLIC)


def caller_of(event: Mapping[str, Any]) -> Caller:
    """Reads a REST proxy event (payload 1.0) or a function URL event (payload 2.0).

    A function URL names the account whose signature it has verified, and `anonymous` if it verifies none. The event of
    an HTTP API has payload 2.0 too, and names the API's own account for any caller, so it never makes a peer.
    """
    context = event.get("requestContext") or {}
    authorizer = context.get("authorizer") or {}
    if event.get("version") == "2.0":
        is_function_url = ".lambda-url." in context.get("domainName", "")
        if not is_function_url or context.get("accountId", "anonymous") == "anonymous":
            return ANONYMOUS
        arn = (authorizer.get("iam") or {}).get("userArn", "")
        headers = {name.lower(): value for name, value in (event.get("headers") or {}).items()}
        return Caller(Role.PEER, user_id=headers.get("x-user-id", ""), peer_arn=arn)
    user_id, role = authorizer.get("user_id"), authorizer.get("role")
    if not user_id or role not in (Role.CUSTOMER, Role.ADMIN):
        return ANONYMOUS
    return Caller(Role(role), user_id=user_id)
