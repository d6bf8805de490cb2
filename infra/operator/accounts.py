"""The operator's hand on the running shop: the services' own use cases, with the local cloud as their AWS."""

from __future__ import annotations

import getpass
import json
import os
from typing import Literal

from infra.operator.target import State, client
from infra.trouble import Trouble


def use_cloud_of(state: State) -> None:
    """From here on, this process speaks to the running shop's cloud and to no other, such as a shop's before it."""
    from mercato import aws

    aws.reset()
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]
    os.environ |= {
        "AWS_ENDPOINT_URL": state.endpoint,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": state.region,
        "AWS_REGION": state.region,
        "AWS_DISABLE_HOST_PREFIX_INJECTION": "true",
    }


def rotate_keys(state: State) -> str:
    """Through UsersKeys, as the schedule does it. Returns the outcome, a word of users.signing_keys.rotator."""
    answer = client(state, "lambda").invoke(FunctionName=state.outputs["KeysFunction"], Payload=b"{}")
    text = answer["Payload"].read().decode()
    if "FunctionError" in answer:
        raise Trouble("the keys were not rotated", text[:2000])
    return str(json.loads(text)["outcome"])


def promote(state: State, email: str) -> str:
    """Make the account an admin, and note in the audit log who did. Returns its user id."""
    return _change_role(state, email, "promote")


def demote(state: State, email: str) -> str:
    """Make the account a customer's again, end its sessions, and note in the audit log who did. Returns its user id."""
    return _change_role(state, email, "demote")


def _change_role(state: State, email: str, command: Literal["promote", "demote"]) -> str:
    use_cloud_of(state)
    from mercato.clock import utc_now
    from mercato.http.audit import AuditEntry, AuditTrail
    from mercato.store.dynamo import Table
    from mercato.telemetry import correlation
    from users import usecases
    from users.store import UserStore

    users = UserStore(Table(state.tables["users"]), state.outputs["RateLimitsTable"])
    trail = AuditTrail(Table(state.tables["audit"]))
    request_id = correlation.current().correlation_id
    actor = f"operator:{getpass.getuser()}"
    entry = AuditEntry.make(actor, "users", f"mercato users {command}", f"email={email}", request_id, utc_now())
    trail.ask(entry)
    user = usecases.promote(users, email) if command == "promote" else usecases.demote(users, email, utc_now())
    trail.answer(entry, 200)
    return user.user_id
