from typing import Any

import pytest

from mercato.http.auth import ANONYMOUS, Caller, Role, caller_of
from tests.kit import aws_events

ARN = "arn:aws:sts::123456789012:assumed-role/gateway/session"


def through_gateway(authorizer: Any, **headers: str) -> Caller:
    event = aws_events.rest_request("GET", "/api/teas", headers=headers)
    event["requestContext"]["authorizer"] = authorizer
    return caller_of(event)


def through_function_url(
    authorizer: Any, headers: dict[str, str] | None = None, account: str | None = "123456789012"
) -> Caller:
    event = aws_events.url_request("GET", "/api/teas") | {"headers": headers}
    event["requestContext"] |= {"authorizer": authorizer, "accountId": account}
    if account is None:
        del event["requestContext"]["accountId"]
    return caller_of(event)


@pytest.mark.parametrize("role", ["customer", "admin"])
def test_the_authorizer_says_who_calls(role: str) -> None:
    assert through_gateway({"user_id": "user-1", "role": role}) == Caller(Role(role), "user-1")


@pytest.mark.parametrize(
    "authorizer",
    [
        None,
        {},
        {"user_id": "user-1"},
        {"role": "admin"},
        {"user_id": "", "role": "admin"},
        {"user_id": "user-1", "role": "peer"},
        {"user_id": "user-1", "role": "public"},
        {"user_id": "user-1", "role": "root"},
        {"user_id": "user-1", "role": None},
    ],
)
def test_anything_less_is_nobody(authorizer: Any) -> None:
    assert through_gateway(authorizer) == ANONYMOUS


def test_no_header_makes_a_client_somebody() -> None:
    headers = {"X-User-Id": "user-1", "X-Role": "admin", "version": "2.0"}
    assert through_gateway(None, **headers) == ANONYMOUS
    assert through_gateway({"user_id": "user-2", "role": "customer"}, **headers).user_id == "user-2"


def test_a_peer_is_known_by_its_signature_and_may_act_for_a_user() -> None:
    signed = {"iam": {"userArn": ARN}}
    assert through_function_url(signed) == Caller(Role.PEER, "", ARN)
    assert through_function_url(signed, {"X-User-Id": "user-1"}) == Caller(Role.PEER, "user-1", ARN)


@pytest.mark.parametrize("account", [None, "anonymous"])
@pytest.mark.parametrize("authorizer", [None, {}, {"iam": {"userArn": ARN}}, {"user_id": "user-1", "role": "admin"}])
def test_where_no_signature_was_checked_the_function_url_knows_nobody(authorizer: Any, account: str | None) -> None:
    assert through_function_url(authorizer, {"x-user-id": "user-1"}, account) == ANONYMOUS


def test_a_function_url_never_makes_an_admin() -> None:
    assert through_function_url({"user_id": "user-1", "role": "admin"}).role is Role.PEER


def test_an_event_without_a_context_is_nobodys() -> None:
    assert caller_of({}) == ANONYMOUS


@pytest.mark.parametrize("domain", ["abc123.execute-api.eu-west-1.amazonaws.com", "shop.mercato.example", "", None])
@pytest.mark.parametrize("authorizer", [None, {"iam": {"userArn": ARN}}])
def test_an_http_api_makes_no_stranger_a_peer(authorizer: Any, domain: str | None) -> None:
    """An HTTP API's event has payload 2.0 and the account of the API, for every caller."""
    event = aws_events.url_request("GET", "/api/teas", headers={"X-User-Id": "victim"})
    event["requestContext"] |= {"authorizer": authorizer, "domainName": domain}
    if domain is None:
        del event["requestContext"]["domainName"]
    assert caller_of(event) == ANONYMOUS
