"""Forged, altered and stolen tokens against the running shop."""

from __future__ import annotations

import base64
import hmac
import json
import time
import uuid
from collections.abc import Iterator
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from infra.operator.client import Session, Shop
from infra.operator.target import State, client
from tests.e2e.client import HTTP

PASSWORD = "correct horse battery"


@pytest.fixture
def attacker(shop: Shop) -> Session:
    return shop.join(f"{uuid.uuid4()}@example.com", PASSWORD, "Mallory")


def part(value: Any) -> str:
    text = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(text).decode().rstrip("=")


def forgeries(shop_state: State, good: str) -> Iterator[tuple[str, str]]:
    """Yields the name and the token of each forgery. Tokens that only the shop could have made are signed with its own
    key, which the test reads with the operator's credentials.
    """
    header, payload, signature = good.split(".")
    claims: dict[str, Any] = jwt.decode(good, options={"verify_signature": False})
    jwks = HTTP.get(f"{shop_state.base_url}/api/.well-known/jwks.json", timeout=60).json()
    key_id = jwt.get_unverified_header(good)["kid"]
    public = next(key for key in jwks["keys"] if key["kid"] == key_id)
    admin = claims | {"role": "admin"}

    for algorithm in ("none", "None", "NONE"):
        for end in ("", signature):
            yield (
                f"alg {algorithm}, signature {end[:4]!r}",
                f"{part({'alg': algorithm, 'kid': key_id})}.{part(admin)}.{end}",
            )
    hs = f"{part({'alg': 'HS256', 'typ': 'JWT', 'kid': key_id})}.{part(admin)}"
    pem = jwt.PyJWK(public).key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    for name, secret in (("JWK", json.dumps(public).encode()), ("PEM", pem), ("nothing", b"")):
        yield f"algorithm confusion by {name}", f"{hs}.{part(hmac.digest(secret, hs.encode(), 'sha256'))}"

    thief = ec.generate_private_key(ec.SECP256R1())
    yield "a foreign key under our key's name", jwt.encode(admin, thief, "ES256", headers={"kid": key_id})
    own: Any = jwt.algorithms.ECAlgorithm.to_jwk(thief.public_key(), as_dict=True)
    yield "a key brought along", jwt.encode(admin, thief, "ES256", headers={"kid": key_id, "jwk": own})
    evil = {"kid": "mine", "jku": "https://evil.example/jwks.json", "x5u": "https://evil.example/x5u"}
    yield "a key from elsewhere", jwt.encode(admin, thief, "ES256", headers=evil)
    for kid in ("../../../../dev/null", "' UNION SELECT 'x", "", "x" * 3000, key_id + "\u0000"):
        yield f"kid {kid[:12]!r}", jwt.encode(admin, thief, "ES256", headers={"kid": kid})

    yield "a stripped signature", f"{header}.{payload}."
    yield "no signature", f"{header}.{payload}"
    yield "a doubled signature", f"{good}.{signature}"
    yield "a signature twice as long", good + signature
    yield "another's payload", f"{header}.{part(admin)}.{signature}"
    yield "padding", f"{header}.{payload}.{signature}=="
    yield "padding in the payload", f"{header}.{payload}=.{signature}"
    yield "spare bits of the signature", f"{header}.{payload}.{_spare_bits(signature)}"
    yield "a signature of zeros", f"{header}.{payload}.{part(bytes(64))}"

    now = int(time.time())
    ours = _our_key(shop_state)
    claims_changed: dict[str, dict[str, Any]] = {
        "expired": {"exp": now - 60},
        "not yet valid": {"nbf": now + 600},
        "issued tomorrow": {"iat": now + 86400},
        "wrong audience": {"aud": "another-api"},
        "several audiences": {"aud": [claims["aud"], "another-api"]},
        "wrong issuer": {"iss": "https://evil.example"},
        "a role that there is not": {"role": "peer"},
        "no subject": {"sub": ""},
    }
    for name, changes in claims_changed.items():
        yield name, jwt.encode(claims | changes, ours.key, "ES256", headers={"kid": ours.key_id})
    for claim in ("exp", "nbf", "iss", "aud", "sub", "role", "jti"):
        lacking = {found: value for found, value in claims.items() if found != claim}
        yield f"without {claim}", jwt.encode(lacking, ours.key, "ES256", headers={"kid": ours.key_id})


def _our_key(shop_state: State) -> jwt.PyJWK:
    secrets = client(shop_state, "secretsmanager")
    name = next(one["Name"] for one in secrets.list_secrets()["SecretList"] if "SigningKeys" in one["Name"])
    return jwt.PyJWK(json.loads(secrets.get_secret_value(SecretId=name)["SecretString"])["current"], "ES256")


def _spare_bits(signature: str) -> str:
    """Changes the unused bits of a signature: 64 bytes leave four bits of the last letter unused, so several letters
    decode to the same bytes.
    """
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return signature[:-1] + alphabet[alphabet.index(signature[-1]) ^ 1]


def test_no_forged_token_opens_anything(shop_state: State, attacker: Session) -> None:
    good = attacker._fresh_token()
    with httpx.Client(base_url=f"{shop_state.base_url}/api", timeout=60) as api:
        assert api.get("/users/me", headers={"Authorization": f"Bearer {good}"}).status_code == 200
        forged = dict(forgeries(shop_state, good))
        accepted = {
            name: answer.status_code
            for name, token in forged.items()
            if (answer := api.get("/users/me", headers={"Authorization": f"Bearer {token}"})).status_code != 401
        }

    assert accepted == {}
    assert len(forged) > 35


def test_a_stolen_refresh_token_ends_the_session_that_it_was_stolen_from(shop: Shop) -> None:
    email = f"{uuid.uuid4()}@example.com"
    shop.register(email, PASSWORD, "Robbed")
    first = shop.call("POST", "/users/login", {"email": email, "password": PASSWORD})
    second = shop.call("POST", "/users/token/refresh", {"refresh_token": first["refresh_token"]})
    third = shop.call("POST", "/users/token/refresh", {"refresh_token": second["refresh_token"]})

    statuses = [
        HTTP.post(
            f"{shop.base_url}/api/users/token/refresh", json={"refresh_token": token["refresh_token"]}, timeout=60
        ).status_code
        for token in (first, third, second)
    ]

    assert statuses == [401, 401, 401], "the replay is refused, and so is everything of its family from then on"
