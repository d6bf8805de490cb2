"""UsersKeys, with Secrets Manager and SSM."""

import json
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import jwt
import pytest

from mercato import aws
from mercato.errors import TransientError
from tests.kit import aws_events
from tests.kit.template import resources_of_type
from users import wiring
from users.signing_keys import rotator
from users.signing_keys.domain import KeySet
from users.signing_keys.store import KeyStore

if TYPE_CHECKING:
    from tests.integration.users.conftest import Service


def secret() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(aws.client("secretsmanager").get_secret_value(SecretId="keys")["SecretString"])
    return found


def published_ids() -> list[str]:
    value = aws.client("ssm").get_parameter(Name="jwks")["Parameter"]["Value"]
    return [key["kid"] for key in json.loads(value)["keys"]]


@pytest.mark.parametrize("event", [{}, {"if_missing": True}])
def test_the_first_run_makes_keys_where_the_secret_has_no_value(
    service_without_keys: "Service", event: dict[str, bool]
) -> None:
    assert rotator.handler(event, None) == {"outcome": "created"}
    assert published_ids() == [secret()["next"]["kid"], secret()["current"]["kid"]]


@pytest.mark.parametrize("value", ["{}", " {} "])
def test_the_first_run_makes_keys_where_the_secret_is_empty(service_without_keys: "Service", value: str) -> None:
    aws.client("secretsmanager").put_secret_value(SecretId="keys", SecretString=value)

    assert rotator.handler({"if_missing": True}, None) == {"outcome": "created"}


def test_if_missing_does_nothing_after_the_first_call(service: "Service") -> None:
    before = secret()
    service.wait(days=365)

    assert rotator.handler({"if_missing": True}, None) == {"outcome": "unchanged"}
    assert secret() == before


def test_a_rotation_moves_each_key_on_and_publishes_all_three(service: "Service") -> None:
    before = secret()
    service.wait(days=30)

    assert rotator.handler(aws_events.scheduled_event(), None) == {"outcome": "rotated"}

    after = secret()
    assert after["current"] == before["next"]
    assert after["previous"] == before["current"]
    assert published_ids() == [after["next"]["kid"], after["current"]["kid"], after["previous"]["kid"]]


def test_a_rotation_delivered_twice_happens_once(service: "Service") -> None:
    service.wait(days=30)
    rotator.handler(aws_events.scheduled_event(), None)
    before = secret()

    assert rotator.handler(aws_events.scheduled_event(), None) == {"outcome": "unchanged"}
    assert secret() == before


def test_a_token_of_before_the_rotation_stays_good(service: "Service") -> None:
    service.register()
    token = service.log_in().body["access_token"]
    service.wait(days=30)
    rotator.handler(aws_events.scheduled_event(), None)

    assert jwt.get_unverified_header(token)["kid"] in published_ids()


def test_after_a_rotation_the_key_that_signs_was_published_before_it(service: "Service") -> None:
    published_before = published_ids()
    service.wait(days=30)
    rotator.handler(aws_events.scheduled_event(), None)
    wiring.ports.cache_clear()  # a new sandbox
    service.register()

    signed_with = jwt.get_unverified_header(service.log_in().body["access_token"])["kid"]

    assert signed_with in published_before
    assert signed_with == secret()["current"]["kid"]


def test_a_version_is_replaced_once(service: "Service", noon: datetime) -> None:
    store = KeyStore("keys", "jwks")
    stored = store.load()
    assert stored is not None
    ours, theirs = (stored.keys.rotate(noon + timedelta(days=30)) for _ in range(2))

    assert store.replace(ours, stored.version) is True
    assert store.replace(theirs, stored.version) is False

    again = store.load()
    assert again is not None
    assert again.keys == ours


def test_a_first_set_is_made_once(service_without_keys: "Service", noon: datetime) -> None:
    store = KeyStore("keys", "jwks")

    assert store.replace(KeySet.make(noon), None) is True
    assert store.replace(KeySet.make(noon), None) is False


def test_a_parameter_that_was_never_written_is_made(service_without_keys: "Service") -> None:
    assert rotator.handler(aws_events.scheduled_event(), None) == {"outcome": "created"}
    assert len(published_ids()) == 2


def test_what_was_overwritten_is_published_again_without_a_rotation(service: "Service") -> None:
    before = secret()
    aws.client("ssm").put_parameter(Name="jwks", Value='{"keys": []}', Type="String", Overwrite=True)
    service.wait(days=30)

    assert rotator.handler(aws_events.scheduled_event(), None) == {"outcome": "published"}
    assert secret() == before
    assert published_ids() == [before["next"]["kid"], before["current"]["kid"]]


UPKEEP = json.loads(
    resources_of_type("AWS::Serverless::Function")["UsersKeys"]["Properties"]["Events"]["Upkeep"]["Properties"]["Input"]
)


@pytest.mark.parametrize("written", ['{"keys": []}', None])
def test_the_upkeep_publishes_again_what_another_hand_has_overwritten_or_deleted(
    service: "Service", written: str | None
) -> None:
    before = published_ids()
    if written is None:
        aws.client("ssm").delete_parameter(Name="jwks")
    else:
        aws.client("ssm").put_parameter(Name="jwks", Value=written, Type="String", Overwrite=True)
    service.wait(days=365)

    assert rotator.handler(UPKEEP, None) == {"outcome": "published"}
    assert published_ids() == before
    assert rotator.handler(UPKEEP, None) == {"outcome": "unchanged"}


def test_the_upkeep_makes_the_first_keys(service_without_keys: "Service") -> None:
    assert rotator.handler(UPKEEP, None) == {"outcome": "created"}
    assert len(published_ids()) == 2


def test_an_update_of_the_stack_touches_no_public_key() -> None:
    """CloudFormation would write a parameter's value of the template again with each change, also of a tag of the
    stack.
    """
    assert resources_of_type("AWS::SSM::Parameter") == {}


def test_the_private_keys_reach_neither_the_log_nor_the_answer(
    service_without_keys: "Service", caplog: pytest.LogCaptureFixture
) -> None:
    answer = rotator.handler(aws_events.scheduled_event(), None)

    shown = str(answer) + str([vars(record) for record in caplog.records])
    assert "signing keys" in shown
    assert secret()["current"]["d"] not in shown
    assert secret()["next"]["d"] not in shown


def test_a_refusal_by_aws_is_told_as_transient(service: "Service") -> None:
    aws.client("secretsmanager").delete_secret(SecretId="keys")

    with pytest.raises(TransientError, match="reading the signing keys"):
        KeyStore("keys", "jwks").load()
