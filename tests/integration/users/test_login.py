"""Logging in: the tokens, and what a stranger can find out."""

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import jwt
import pytest
from argon2 import PasswordHasher

from mercato import aws
from mercato.errors import TransientError
from mercato.store import dynamo
from mercato.store.dynamo import Table
from users import wiring
from users.passwords import hashing

if TYPE_CHECKING:
    from tests.integration.users.conftest import Service


def decode(service: "Service", token: str) -> dict[str, Any]:
    """Checks the token with the published key that its header names, at the test's time."""
    published = service.call("GET", "/api/.well-known/jwks.json").body
    key = jwt.PyJWKSet.from_dict(published)[jwt.get_unverified_header(token)["kid"]]
    options: Any = {"verify_exp": False, "verify_nbf": False, "verify_iat": False}
    return jwt.decode(token, key, algorithms=["ES256"], audience="mercato-api", options=options)


def test_a_login_gives_a_pair_of_tokens(service: "Service") -> None:
    service.register()

    answer = service.log_in()

    assert answer.status == 200
    assert answer.body.keys() == {"access_token", "refresh_token", "token_type", "expires_in"}
    assert (answer.body["token_type"], answer.body["expires_in"]) == ("Bearer", 900)
    assert answer.headers["Cache-Control"] == "no-store"


def test_the_access_token_says_who_for_whom_and_for_15_minutes(service: "Service") -> None:
    user_id = service.join()
    service.wait(milliseconds=700)

    token = service.log_in().body["access_token"]

    claims = decode(service, token)
    noon = int(datetime(2026, 11, 22, 12, tzinfo=UTC).timestamp())
    assert claims == {
        "iss": "https://mercato.example",
        "aud": "mercato-api",
        "sub": user_id,
        "role": "customer",
        "iat": noon,
        "nbf": noon,
        "exp": noon + 900,
        "jti": claims["jti"],
    }
    assert jwt.get_unverified_header(token)["alg"] == "ES256"


def test_each_login_has_its_own_tokens(service: "Service") -> None:
    service.register()

    first, second = service.log_in().body, service.log_in().body

    assert first["refresh_token"] != second["refresh_token"]
    assert decode(service, first["access_token"])["jti"] != decode(service, second["access_token"])["jti"]


def test_the_refresh_token_is_stored_as_a_hash(service: "Service") -> None:
    service.register()

    secret = service.log_in().body["refresh_token"].split(".")[1]

    assert len(service.items("FAMILY#")) == 1
    assert secret not in str(service.items(""))


def test_an_address_may_be_written_in_any_way(service: "Service") -> None:
    service.register()

    assert service.log_in(email="  Ada@EXAMPLE.com").status == 200


@pytest.mark.usefixtures("shops_own_hashing")
@pytest.mark.parametrize("email", ["nobody@example.com", "not an address", "", "stra\u00dfe@example.com"])
def test_an_unknown_address_and_a_wrong_password_are_answered_alike(
    service: "Service", email: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.register()
    checked: list[str] = []
    really = hashing.password_matches

    def counted(password: str, password_hash: str) -> bool:
        checked.append(password_hash)
        return really(password, password_hash)

    monkeypatch.setattr(hashing, "password_matches", counted)

    wrong, unknown = service.log_in(password="wrong password"), service.log_in(email=email)

    assert wrong.status == unknown.status == 401
    assert wrong.body | {"request_id": ""} == unknown.body | {"request_id": ""}
    assert wrong.body["type"] == "urn:mercato:problem:invalid-credentials"
    costs = {password_hash.split("$")[3] for password_hash in checked}
    assert (len(checked), costs) == (2, {"m=19456,t=2,p=1"})
    assert service.items("FAMILY#") == []


@pytest.mark.parametrize("owner_is_verified", [True, False])
def test_after_registering_the_work_of_a_log_in_does_not_tell_whether_the_address_was_free(
    service: "Service", owner_is_verified: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VERIFIED_ADDRESSES_ONLY", "true")
    wiring.ports.cache_clear()
    service.register(email="taken@example.com", password="its owner's own one")
    if owner_is_verified:
        service.deliver()
        token = service.mailer.token()
        assert service.call("POST", "/api/users/verify-email", {"token": token}).status == 204
    for email in ("taken@example.com", "free@example.com"):
        service.register(email=email, password="a stranger's guess")
    work: list[str] = []
    call, matches = Table._call, hashing.password_matches

    def counted(table: Table, operation: str, **parameters: Any) -> dict[str, Any]:
        work.append(operation)
        return call(table, operation, **parameters)

    def hashed(password: str, password_hash: str) -> bool:
        work.append("hash")
        return matches(password, password_hash)

    monkeypatch.setattr(Table, "_call", counted)
    monkeypatch.setattr(hashing, "password_matches", hashed)
    done = {}
    for email in ("taken@example.com", "free@example.com", "unknown@example.com", "no address"):
        work.clear()
        assert service.log_in(email, "a stranger's guess").status == 401
        done[email] = list(work)

    expected = ["batch_get_item", "transact_write_items", "get_item", "get_item", "hash"]
    assert done == dict.fromkeys(done, expected)


@pytest.mark.usefixtures("shops_own_hashing")
def test_a_hash_with_old_parameters_is_renewed_at_login(service: "Service") -> None:
    service.register()
    weak = PasswordHasher(time_cost=1, memory_cost=1024, parallelism=1).hash("correct horse battery")
    service.table.write(
        dynamo.update("EMAIL#ada@example.com", "LOGIN", "SET password_hash = :weak", values={":weak": weak})
    )

    assert service.log_in().status == 200

    (login,) = service.items("EMAIL#")
    assert login["password_hash"].startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert service.log_in().status == 200


def test_a_hash_that_is_renewed_takes_back_no_password_that_was_changed_in_between(
    service: "Service", monkeypatch: pytest.MonkeyPatch
) -> None:
    user_id, old, new = service.join(), "correct horse battery", "an umbrella for ducks"
    make = hashing.hash_password

    def late(password: str) -> str:
        """The password is changed while the old one is hashed again."""
        monkeypatch.setattr(hashing, "hash_password", make)
        body = {"current_password": old, "new_password": new}
        assert service.call("PUT", "/api/users/me/password", body, user_id=user_id).status == 204
        return make(password)

    monkeypatch.setattr(hashing, "is_outdated", lambda _: True)
    monkeypatch.setattr(hashing, "hash_password", late)
    service.log_in(password=old)

    monkeypatch.setattr(hashing, "is_outdated", lambda _: False)
    assert service.log_in(password=old).status == 401
    assert service.log_in(password=new).status == 200


def test_without_signing_keys_nobody_is_let_in_and_nothing_is_opened(service_without_keys: "Service") -> None:
    service_without_keys.register()

    answer = service_without_keys.log_in()

    assert answer.status == 503
    assert answer.headers["Retry-After"] == "1"
    assert service_without_keys.items("FAMILY#") == []


def test_the_signing_key_is_read_once_and_outlives_an_outage(
    service: "Service", monkeypatch: pytest.MonkeyPatch
) -> None:
    service.register()
    service.log_in()

    def fail(*_: Any) -> Any:
        raise TransientError("away")

    monkeypatch.setattr("users.signing_keys.store.KeyStore.load", fail)

    assert service.log_in().status == 200


def test_the_published_keys_are_public_and_may_be_cached(service: "Service") -> None:
    answer = service.call("GET", "/api/.well-known/jwks.json")

    assert answer.status == 200
    assert answer.headers["Cache-Control"] == "public, max-age=300"
    assert len(answer.body["keys"]) == 2
    assert all(key.keys() == {"kty", "crv", "x", "y", "kid", "use", "alg"} for key in answer.body["keys"])
    stored = json.loads(aws.client("secretsmanager").get_secret_value(SecretId="keys")["SecretString"])
    assert stored["current"]["d"] not in str(answer.body)


def test_no_password_and_no_token_reaches_the_log(service: "Service", caplog: pytest.LogCaptureFixture) -> None:
    service.register()
    pair = service.log_in().body
    service.log_in(password="a wrong password")
    service.refresh(pair["refresh_token"])
    service.wait(minutes=1)
    service.refresh(pair["refresh_token"])

    logged = str([vars(record) for record in caplog.records])

    assert "reused" in logged
    family_id, secret = pair["refresh_token"].split(".")
    for private in ("correct horse battery", "a wrong password", pair["access_token"], family_id, secret):
        assert private not in logged
