"""The operator's hand on the running shop: the services' own use cases, with the local cloud as their AWS."""

from __future__ import annotations

import os

from infra.local.state import State


def use_cloud_of(state: State) -> None:
    """From here on, boto3 in this process speaks to the running shop's cloud and to no other."""
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


def promote(state: State, email: str) -> str:
    """Make the account an admin. Returns its user id."""
    use_cloud_of(state)
    from mercato.dynamo import Table
    from users import usecases
    from users.store import UserStore

    return usecases.promote(UserStore(Table(state.tables["users"])), email).user_id
