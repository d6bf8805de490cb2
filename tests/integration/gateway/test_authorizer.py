"""The authorizer, from API Gateway's event to an IAM policy or "Unauthorized"."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gateway import authorizer, wiring
from mercato import aws
from mercato.errors import TransientError
from mercato.store import ended_access
from mercato.store.dynamo import Table
from tests.kit import aws_events
from tests.kit.template import resources_of_type
from tests.unit.gateway.mint import AUDIENCE, ISSUER, Mint
from users.domain import Role, User
from users.sessions.access_tokens import AccessTokens
from users.signing_keys.rotator import Outcome, maintain_keys
from users.signing_keys.store import KeyStore

UNAUTHORIZED = r"^Unauthorized$"
METHOD_ARN = "arn:aws:execute-api:us-east-1:123456789012:abc123/dev/GET/api/orders/a:b"


def event(header: Any) -> dict[str, Any]:
    return aws_events.token_request(header, METHOD_ARN)


@pytest.fixture
def publish(cloud: None, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Writes the published keys and clears the caches, as a new sandbox reads them."""
    for name, value in {"JWKS_PARAMETER": "jwks", "ISSUER": ISSUER, "AUDIENCE": AUDIENCE}.items():
        monkeypatch.setenv(name, value)

    def write(jwks: str) -> None:
        aws.client("ssm").put_parameter(Name="jwks", Value=jwks, Type="String", Overwrite=True)
        wiring.ports.cache_clear()

    return write


@pytest.fixture
def mint(publish: Callable[[str], None]) -> Mint:
    mint = Mint()
    publish(mint.jwks)
    return mint


def test_a_good_token_is_allowed_on_the_whole_stage_and_tells_who_it_is(mint: Mint) -> None:
    assert authorizer.handler(event(f"Bearer {mint.token(role='admin')}"), None) == {
        "principalId": "ada",
        "policyDocument": {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": "Allow",
                    "Action": "execute-api:Invoke",
                    "Resource": "arn:aws:execute-api:us-east-1:123456789012:abc123/dev/*",
                }
            ],
        },
        "context": {"user_id": "ada", "role": "admin", "jti": "token-1"},
    }


@pytest.mark.parametrize("header", ["", None, "Bearer", "Bearer ", "Basic YWRhOnB3", "Bearer x", "Bearer a.b"])
def test_a_header_without_a_token_is_unauthorized(mint: Mint, header: str | None) -> None:
    with pytest.raises(Exception, match=UNAUTHORIZED):
        authorizer.handler(event(header), None)


@pytest.mark.parametrize("form", ["bearer {}", "BEARER {}", "Bearer  {}", "bEaReR   {} "])
def test_the_scheme_is_read_as_rfc_9110_says(mint: Mint, form: str) -> None:
    header = form.format(mint.token())
    assert authorizer.handler(event(header), None)["context"]["user_id"] == "ada"
    gateway = resources_of_type("AWS::Serverless::Api")["Api"]["Properties"]["Auth"]["Authorizers"]["AccessToken"]
    assert re.fullmatch(gateway["Identity"]["ValidationExpression"], header), "the gateway would refuse it first"


@pytest.mark.parametrize("form", ["{}", "Bearer\t{}", "Bearer{}", "Bearer {},Bearer {}", "Bearer {}\n"])
def test_a_header_in_another_form_is_unauthorized(mint: Mint, form: str) -> None:
    with pytest.raises(Exception, match=UNAUTHORIZED):
        authorizer.handler(event(form.format(*[mint.token()] * 2)), None)


def test_a_forged_token_is_unauthorized_and_the_log_says_why_without_the_token(
    mint: Mint, caplog: pytest.LogCaptureFixture
) -> None:
    forged = Mint().token()

    with pytest.raises(Exception, match=UNAUTHORIZED) as raised:
        authorizer.handler(event(f"Bearer {forged}"), None)

    assert raised.value.__cause__ is None
    assert type(raised.value) is Exception
    logged = str([vars(record) for record in caplog.records])
    assert "InvalidSignatureError" in logged
    assert all(part not in logged for part in forged.split("."))


def test_keys_that_cannot_be_read_are_our_fault_not_the_callers(publish: Callable[[str], None]) -> None:
    with pytest.raises(TransientError):
        authorizer.handler(event(f"Bearer {Mint().token()}"), None)


def test_with_no_key_published_yet_everybody_is_unauthorized(publish: Callable[[str], None]) -> None:
    publish('{"keys": []}')

    with pytest.raises(Exception, match=UNAUTHORIZED):
        authorizer.handler(event(f"Bearer {Mint().token()}"), None)


def test_what_users_sign_the_authorizer_takes_before_and_after_a_rotation(publish: Callable[[str], None]) -> None:
    aws.client("secretsmanager").create_secret(Name="keys")
    store, now = KeyStore("keys", "jwks"), datetime.now(UTC)
    ada = User("ada", "ada@example.com", "Ada", Role.CUSTOMER, version=1, created_at=now)
    long_ago = now.replace(year=now.year - 1, day=1)
    assert maintain_keys(store, long_ago, if_missing=True) is Outcome.CREATED
    before = AccessTokens(store, ISSUER, AUDIENCE).issue(ada, now)
    wiring.ports.cache_clear()
    assert authorizer.handler(event(f"Bearer {before}"), None)["context"]["role"] == "customer"

    assert maintain_keys(store, now, if_missing=False) is Outcome.ROTATED
    after = AccessTokens(store, ISSUER, AUDIENCE).issue(ada, now)

    # With the previous keys in its cache, and in a new sandbox.
    for _ in range(2):
        assert authorizer.handler(event(f"Bearer {before}"), None)["principalId"] == "ada"
        assert authorizer.handler(event(f"Bearer {after}"), None)["principalId"] == "ada"
        wiring.ports.cache_clear()


@pytest.fixture
def rate_limits(mint: Mint, make_table: Callable[[str], Table], monkeypatch: pytest.MonkeyPatch) -> Table:
    table = make_table("RateLimitsTable")
    monkeypatch.setenv("RATE_LIMITS_TABLE", table.name)
    return table


def test_a_token_of_before_the_end_is_refused_and_a_later_one_is_allowed(rate_limits: Table, mint: Mint) -> None:
    now = datetime.now(UTC)
    rate_limits.transact([ended_access.end(rate_limits.name, "ada", now)])

    for issued_at in (now - timedelta(minutes=5), now):
        token = mint.token(iat=int(issued_at.timestamp()))
        with pytest.raises(Exception, match=UNAUTHORIZED):
            authorizer.handler(event(f"Bearer {token}"), None)

    later = mint.token(iat=int(now.timestamp()) + 1)
    assert authorizer.handler(event(f"Bearer {later}"), None)["principalId"] == "ada"
    assert authorizer.handler(event(f"Bearer {mint.token(sub='eve')}"), None)["principalId"] == "eve"


def test_a_table_that_is_away_closes_no_shop(mint: Mint, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RATE_LIMITS_TABLE", "a-table-that-is-not-there")

    assert authorizer.handler(event(f"Bearer {mint.token()}"), None)["principalId"] == "ada"
