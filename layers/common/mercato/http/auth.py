"""The caller: a user, as the gateway's authorizer states, or a peer service, as its IAM signature proves. Through the
mesh, its certificate must prove it too.

Headers count only if a peer has signed them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from mercato.dataclass import dataclass
from mercato.http import admission

# Lambda names a function's session as the function.
_PAGES = re.compile(r"arn:[a-z-]+:sts::\d{12}:assumed-role/[^/]+/[^/]+-(?:storefront|console)-pages")


class Role(StrEnum):
    PUBLIC = "public"
    CUSTOMER = "customer"
    ADMIN = "admin"
    PEER = "peer"


@dataclass(frozen=True)
class Caller:
    """`user_id` is the user on whose behalf the call is made; empty for the public and for a peer's own calls. `peer`
    is the calling service, as its certificate states; empty for calls that do not come through the mesh.
    """

    role: Role
    user_id: str = ""
    peer_arn: str = ""
    peer: str = ""

    @property
    def is_admin(self) -> bool:
        return self.role is Role.ADMIN

    @property
    def is_peer(self) -> bool:
        return self.role is Role.PEER

    @property
    def is_page(self) -> bool:
        """Whether the caller is a function with pages. It calls for guests, so it may call what is public alone."""
        return self.is_peer and _PAGES.fullmatch(self.peer_arn) is not None

    @property
    def may_pin(self) -> bool:
        """Whether the caller may choose the version of the peers that are called for it."""
        return self.is_admin or self.is_peer


ANONYMOUS = Caller(Role.PUBLIC)


def caller_of(event: Mapping[str, Any]) -> Caller:
    """Reads a REST proxy event (payload 1.0), or the event of a function URL or of the mesh's ingress (payload 2.0).

    A function URL names the account whose signature it has verified, and `anonymous` if it verifies none. The event of
    an HTTP API has payload 2.0 too, and names the API's own account for any caller, so it makes a peer only if the API
    is the mesh's ingress. Raises Forbidden for a peer whom the mesh does not admit.
    """
    context = event.get("requestContext") or {}
    authorizer = context.get("authorizer") or {}
    if event.get("version") == "2.0":
        arn = (authorizer.get("iam") or {}).get("userArn") or ""
        headers = {name.lower(): value for name, value in (event.get("headers") or {}).items()}
        user_id = headers.get("x-user-id", "")
        if admission.is_from_ingress(event):
            return Caller(Role.PEER, user_id, arn, admission.identify(context, arn))
        is_function_url = ".lambda-url." in (context.get("domainName") or "")
        if not is_function_url or context.get("accountId", "anonymous") == "anonymous":
            return ANONYMOUS
        admission.refuse_way_around(arn)
        return Caller(Role.PEER, user_id, arn)
    user_id, role = authorizer.get("user_id"), authorizer.get("role")
    if not user_id or role not in (Role.CUSTOMER, Role.ADMIN):
        return ANONYMOUS
    return Caller(Role(role), user_id=user_id)
