"""What the integration tests of all services share."""

from __future__ import annotations

import pytest
from argon2 import PasswordHasher

from users import store
from users.passwords import hashing

_SHOPS_OWN = hashing._HASHER
_CHEAP = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)


@pytest.fixture(autouse=True)
def cheap_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hashes passwords at a low cost, because hundreds of tests log in. `shops_own_hashing` has the shop's cost."""
    hash_by(_CHEAP, monkeypatch)


@pytest.fixture
def shops_own_hashing(cheap_passwords: None, monkeypatch: pytest.MonkeyPatch) -> None:
    hash_by(_SHOPS_OWN, monkeypatch)


def hash_by(hasher: PasswordHasher, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(hashing, "_HASHER", hasher)
    unmatchable = hashing._unmatchable()
    for module in (hashing, store):
        patch.setattr(module, "UNMATCHABLE", unmatchable)
    patch.setattr(hashing.repeats_password, "__defaults__", (unmatchable,))
