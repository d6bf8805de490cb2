"""Access tokens under attack: every altered or foreign token is refused."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization

from gateway.access import Holder, Refused, Verifier
from gateway.keyring import Keyring
from tests.unit.gateway.mint import AUDIENCE, ISSUER, Mint, encode


@pytest.fixture
def verifier(mint: Mint) -> Verifier:
    return Verifier(Keyring(lambda: mint.jwks), ISSUER, AUDIENCE)


def refuse(verifier: Verifier, token: str) -> str:
    """The reason of the refusal, after a check that it reveals nothing of the token."""
    with pytest.raises(Refused) as refused:
        verifier.verify(token)
    assert all(part not in str(refused.value) for part in token.split(".") if len(part) > 8)
    return str(refused.value)


def test_a_good_token_tells_its_holder(verifier: Verifier, mint: Mint) -> None:
    assert verifier.verify(mint.token()) == Holder("ada", "customer", "token-1")
    assert verifier.verify(mint.token(role="admin")) == Holder("ada", "admin", "token-1")


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "nOnE", ""])
def test_an_unsigned_token_is_refused(verifier: Verifier, mint: Mint, algorithm: str) -> None:
    header = {"alg": algorithm, "typ": "JWT", "kid": mint.key_id}
    unsigned = f"{encode(header)}.{encode(mint.claims)}"

    assert refuse(verifier, f"{unsigned}.") == "another algorithm"
    assert refuse(verifier, f"{unsigned}.{mint.token().split('.')[2]}") == "another algorithm"


@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
def test_a_token_signed_with_the_public_key_as_a_password_is_refused(
    verifier: Verifier, mint: Mint, algorithm: str
) -> None:
    public = mint.private.public_key()
    pem = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    der = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    for password in (pem, pem.strip(), der, json.dumps(mint.public).encode(), mint.public["x"].encode()):
        signed = f"{encode({'alg': algorithm, 'typ': 'JWT', 'kid': mint.key_id})}.{encode(mint.claims)}"
        mac = hmac.digest(password, signed.encode(), getattr(hashlib, "sha" + algorithm[2:]))

        assert refuse(verifier, f"{signed}.{encode(mac)}") == "another algorithm"


@pytest.mark.parametrize("algorithm", ["ES384", "ES256K", "RS256", "PS256", "EdDSA", "es256", None, 1, ["ES256"]])
def test_another_algorithm_is_refused_though_our_key_signed(verifier: Verifier, mint: Mint, algorithm: object) -> None:
    refuse(verifier, mint.token(header={"alg": algorithm}))


def test_an_expired_token_is_refused(verifier: Verifier, mint: Mint) -> None:
    now = int(time.time())

    assert refuse(verifier, mint.token(iat=now - 960, nbf=now - 960, exp=now - 60)) == "ExpiredSignatureError"


def test_a_token_that_is_not_yet_valid_is_refused(verifier: Verifier, mint: Mint) -> None:
    assert refuse(verifier, mint.token(nbf=int(time.time()) + 60)) == "ImmatureSignatureError"


def test_a_token_from_the_future_is_refused(verifier: Verifier, mint: Mint) -> None:
    assert refuse(verifier, mint.token(iat=int(time.time()) + 60)) == "ImmatureSignatureError"


@pytest.mark.parametrize("issuer", ["https://evil.example", ISSUER + "/", "", None, [ISSUER]])
def test_another_issuer_is_refused(verifier: Verifier, mint: Mint, issuer: object) -> None:
    refuse(verifier, mint.token(iss=issuer))


@pytest.mark.parametrize("audience", ["another-api", "", None, [AUDIENCE], [AUDIENCE, "another-api"]])
def test_another_audience_is_refused(verifier: Verifier, mint: Mint, audience: object) -> None:
    refuse(verifier, mint.token(aud=audience))


def test_a_foreign_key_under_our_keys_name_is_refused(verifier: Verifier, thief: Mint) -> None:
    assert refuse(verifier, thief.token()) == "InvalidSignatureError"


def test_a_key_that_the_token_brings_along_is_not_used(verifier: Verifier, thief: Mint) -> None:
    brought = {"jwk": thief.public, "jku": "https://evil.example/jwks.json", "x5u": "https://evil.example/cert"}

    assert refuse(verifier, thief.token(header=brought)) == "InvalidSignatureError"


@pytest.mark.parametrize("key_id", ["unknown", "", "../key-1", "key-1 ", "key-1\x00"])
def test_an_unknown_key_is_refused(verifier: Verifier, mint: Mint, key_id: str) -> None:
    assert refuse(verifier, mint.token(header={"kid": key_id})) == "an unknown key"


def test_a_token_that_names_no_key_is_refused(verifier: Verifier, mint: Mint) -> None:
    assert refuse(verifier, mint.sign({"alg": "ES256", "typ": "JWT"}, mint.claims)) == "no key id"


@pytest.mark.parametrize("key_id", [None, 1, ["key-1"], {"kid": "key-1"}])
def test_a_key_id_that_is_no_text_is_refused(verifier: Verifier, mint: Mint, key_id: object) -> None:
    refuse(verifier, mint.token(header={"kid": key_id}))


@pytest.mark.parametrize("claims", [{"role": "admin"}, {"sub": "somebody-else"}, {"exp": 2**40}])
def test_a_tampered_payload_is_refused(verifier: Verifier, mint: Mint, claims: dict[str, Any]) -> None:
    header, _, signature = mint.token().split(".")

    assert refuse(verifier, f"{header}.{encode(mint.claims | claims)}.{signature}") == "InvalidSignatureError"


def test_a_tampered_header_or_signature_is_refused(verifier: Verifier, mint: Mint) -> None:
    header, payload, signature = mint.token().split(".")
    first = "A" if signature[0] != "A" else "B"

    refuse(verifier, f"{encode({'alg': 'ES256', 'kid': mint.key_id, 'extra': 1})}.{payload}.{signature}")
    refuse(verifier, f"{header}.{payload}.{first}{signature[1:]}")
    refuse(verifier, f"{header}.{payload}.{encode(bytes(64))}")
    refuse(verifier, f"{header}.{payload}.")


def test_one_token_is_one_text(verifier: Verifier, mint: Mint) -> None:
    """64 bytes leave spare bits in the last letter of the signature, so several letters decode to the same bytes."""
    token = mint.token()
    header, payload, signature = token.split(".")
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    respelt = letters[letters.index(signature[-1]) ^ 1]
    assert verifier.verify(token).user_id == "ada"

    refuse(verifier, f"{header}.{payload}.{signature[:-1]}{respelt}")
    refuse(verifier, f"{token}.{signature}")
    refuse(verifier, token + signature)


@pytest.mark.parametrize("claim", ["iss", "aud", "sub", "role", "iat", "nbf", "exp", "jti"])
def test_a_token_that_lacks_a_claim_is_refused(verifier: Verifier, mint: Mint, claim: str) -> None:
    refuse(verifier, mint.token(without=claim))


@pytest.mark.parametrize(
    "claims",
    [
        {"role": "peer"},
        {"role": "public"},
        {"role": "Admin"},
        {"role": ""},
        {"role": ["admin"]},
        {"role": None},
        {"sub": ""},
        {"sub": 1},
        {"sub": None},
        {"jti": ""},
        {"jti": 1},
        {"exp": "soon"},
        {"exp": None},
        {"exp": []},
        {"nbf": "now"},
        {"iat": "now"},
    ],
)
def test_claims_that_make_no_sense_are_refused_though_we_signed_them(
    verifier: Verifier, mint: Mint, claims: dict[str, Any]
) -> None:
    refuse(verifier, mint.token(**claims))


@pytest.mark.parametrize("payload", [[], "ada", 1, None, b"not json", b"\xff\xfe"])
def test_a_payload_that_holds_no_claims_is_refused(verifier: Verifier, mint: Mint, payload: object) -> None:
    refuse(verifier, mint.sign({"alg": "ES256", "kid": mint.key_id}, payload))


@pytest.mark.parametrize(
    "token",
    [
        "",
        ".",
        "..",
        "...",
        "x.y.z",
        "\u00e9.\u00e9.\u00e9",
        encode(b"[" * 2000) + ".e30.x",
        encode(b'{"alg":' * 400) + ".e30.x",
        encode([]) + ".e30.x",
        encode({"alg": "ES256", "kid": "key-1"}) + ".e30.",
        "a" * 5000 + ".e30.x",
    ],
)
def test_what_is_no_token_at_all_is_refused(verifier: Verifier, token: str) -> None:
    refuse(verifier, token)
