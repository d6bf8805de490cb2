"""The public keys: how long they are cached, and how many reads an unknown key may cause."""

from __future__ import annotations

import json

import pytest

from gateway.keyring import Keyring, parse_keys
from mercato.errors import TransientError
from tests.unit.gateway.mint import Mint


class Parameter:
    """The published keys, and a clock."""

    def __init__(self, text: str) -> None:
        self.text, self.fetched, self.time, self.away = text, 0, 1000.0, False

    def fetch(self) -> str:
        self.fetched += 1
        if self.away:
            raise TransientError("throttled")
        return self.text


@pytest.fixture
def parameter(mint: Mint) -> Parameter:
    return Parameter(mint.jwks)


@pytest.fixture
def keys(parameter: Parameter) -> Keyring:
    return Keyring(parameter.fetch, now=lambda: parameter.time)


def publish(parameter: Parameter, *mints: Mint) -> None:
    parameter.text = json.dumps({"keys": [mint.public for mint in mints]})


def test_a_known_key_is_fetched_once_in_five_minutes(keys: Keyring, parameter: Parameter) -> None:
    assert keys.find("key-1") is not None
    parameter.time += 299
    assert keys.find("key-1") is not None
    assert parameter.fetched == 1

    parameter.time += 1
    assert keys.find("key-1") is not None
    assert parameter.fetched == 2


def test_a_key_that_was_withdrawn_is_gone_within_five_minutes(keys: Keyring, parameter: Parameter) -> None:
    keys.find("key-1")
    publish(parameter)
    parameter.time += 300

    assert keys.find("key-1") is None


def test_a_new_key_is_found_at_once_after_a_pause(keys: Keyring, parameter: Parameter, mint: Mint) -> None:
    keys.find("key-1")
    new = Mint("key-2")
    publish(parameter, mint, new)
    parameter.time += 30

    assert keys.find("key-2") is not None
    assert keys.find("key-1") is not None
    assert parameter.fetched == 2


def test_a_flood_of_unknown_keys_costs_one_fetch_in_thirty_seconds(keys: Keyring, parameter: Parameter) -> None:
    keys.find("key-1")
    for attempt in range(100):
        assert keys.find(f"unknown-{attempt}") is None
    assert parameter.fetched == 1

    parameter.time += 30
    for attempt in range(100):
        assert keys.find(f"unknown-{attempt}") is None
    assert parameter.fetched == 2


def test_an_outage_leaves_the_keys_at_hand_in_use(keys: Keyring, parameter: Parameter) -> None:
    keys.find("key-1")
    parameter.away = True
    parameter.time += 300

    assert keys.find("key-1") is not None
    assert keys.find("key-1") is not None
    assert parameter.fetched == 2


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", "null", '{"keys": [{"kty": "EC", "crv": "P-256"}]}'])
def test_a_set_that_cannot_be_read_leaves_the_keys_at_hand_in_use(
    keys: Keyring, parameter: Parameter, text: str
) -> None:
    keys.find("key-1")
    parameter.text = text
    parameter.time += 300

    assert keys.find("key-1") is not None


def test_without_any_keys_the_failure_is_not_taken_for_a_bad_token(keys: Keyring, parameter: Parameter) -> None:
    parameter.away = True

    with pytest.raises(TransientError):
        keys.find("key-1")


def test_before_the_first_key_is_made_no_key_is_known(keys: Keyring, parameter: Parameter) -> None:
    parameter.text = '{"keys": []}'

    assert keys.find("key-1") is None


def test_keys_of_other_algorithms_are_passed_over(mint: Mint) -> None:
    symmetric = {"kty": "oct", "k": "c2VjcmV0", "kid": "oct"}
    other_curve = mint.public | {"crv": "P-384", "kid": "p384"}

    assert parse_keys(json.dumps({"keys": [symmetric, other_curve, mint.public]})).keys() == {"key-1"}


@pytest.mark.parametrize("purpose", [{"use": "enc"}, {"key_ops": ["encrypt"]}, {"key_ops": []}, {"alg": "ECDH-ES"}])
def test_a_key_for_another_purpose_is_passed_over(mint: Mint, purpose: dict[str, object]) -> None:
    other = mint.public | {"kid": "other"} | purpose
    assert parse_keys(json.dumps({"keys": [other, mint.public]})).keys() == {"key-1"}


@pytest.mark.parametrize("purpose", [{"use": "sig"}, {"key_ops": ["verify"]}, {"alg": "ES256"}])
def test_a_key_for_signatures_is_taken(mint: Mint, purpose: dict[str, object]) -> None:
    assert parse_keys(json.dumps({"keys": [mint.public | purpose]})).keys() == {"key-1"}
