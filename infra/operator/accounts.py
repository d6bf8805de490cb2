"""Operator actions on accounts and keys that the API does not offer. They run the services' use cases."""

from __future__ import annotations

import getpass
import json
import os
from typing import Literal

from infra.operator.target import Target, client
from infra.trouble import Trouble


def use_cloud_of(shop: Target) -> None:
    """Configures this process so that its AWS calls go only to the shop's cloud."""
    from mercato import aws

    aws.reset()
    if not shop.endpoint:  # AWS, with the caller's own credentials
        os.environ["AWS_DEFAULT_REGION"] = os.environ["AWS_REGION"] = shop.region
        return
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]
    os.environ |= {
        "AWS_ENDPOINT_URL": shop.endpoint,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": shop.region,
        "AWS_REGION": shop.region,
        "AWS_DISABLE_HOST_PREFIX_INJECTION": "true",
    }


def rotate_keys(shop: Target) -> str:
    """Invokes UsersKeys, as the schedule does. Returns the outcome, a value of users.signing_keys.rotator."""
    answer = client(shop, "lambda").invoke(FunctionName=shop.outputs["KeysFunction"], Payload=b"{}")
    text = answer["Payload"].read().decode()
    if "FunctionError" in answer:
        raise Trouble("the keys were not rotated", text[:2000])
    return str(json.loads(text)["outcome"])


def promote(shop: Target, email: str) -> str:
    """Makes the account an admin and records it in the audit log. Returns its user id."""
    return _change_role(shop, email, "promote")


def demote(shop: Target, email: str) -> str:
    """Makes the account a customer's, ends its sessions, and records it in the audit log. Returns its user id."""
    return _change_role(shop, email, "demote")


def _change_role(shop: Target, email: str, command: Literal["promote", "demote"]) -> str:
    use_cloud_of(shop)
    from mercato.clock import utc_now
    from mercato.errors import DomainError
    from mercato.http.audit import AuditEntry, AuditTrail
    from mercato.http.response import status_of
    from mercato.store.dynamo import Table
    from mercato.telemetry import correlation
    from users import usecases
    from users.store import UserStore

    users = UserStore(Table(shop.tables["users"]), shop.outputs["RateLimitsTable"])
    trail = AuditTrail(Table(shop.tables["audit"]))
    request_id = correlation.current().correlation_id
    actor = f"operator:{getpass.getuser()}"
    entry = AuditEntry.make(actor, "users", f"mercato users {command}", f"email={email}", request_id, utc_now())
    trail.ask(entry)
    try:
        user = usecases.promote(users, email) if command == "promote" else usecases.demote(users, email, utc_now())
    except DomainError as error:
        trail.answer(entry, status_of(type(error))[0])
        raise
    trail.answer(entry, 200)
    return user.user_id
