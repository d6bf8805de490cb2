"""Password hashes: argon2id, with its parameters."""

from __future__ import annotations

import base64
import unicodedata

from argon2 import PasswordHasher, Type
from argon2.exceptions import VerifyMismatchError

MIN_LENGTH, MAX_LENGTH = 10, 128

# OWASP's first choice for argon2id: 19 MiB, two passes, one lane.
_HASHER = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1, hash_len=32, salt_len=16, type=Type.ID)


def _unmatchable() -> str:
    """A well-formed hash that matches no password. Checking against it takes as long as against a real one."""
    salt, digest = (base64.b64encode(bytes(size)).decode().rstrip("=") for size in (_HASHER.salt_len, _HASHER.hash_len))
    costs = f"m={_HASHER.memory_cost},t={_HASHER.time_cost},p={_HASHER.parallelism}"
    return f"$argon2id$v=19${costs}${salt}${digest}"


UNMATCHABLE = _unmatchable()


def hash_password(password: str) -> str:
    return _HASHER.hash(_canonical(password))


def password_matches(password: str, password_hash: str) -> bool:
    return _matches(password, password_hash)


def repeats_password(password: str, password_hash: str = UNMATCHABLE) -> bool:
    """Whether a repeated registration has the same password. Takes the same time without an earlier one."""
    return _matches(password, password_hash)


def is_outdated(password_hash: str) -> bool:
    """The hash was made with other parameters than the current ones."""
    return _HASHER.check_needs_rehash(password_hash)


def _matches(password: str, password_hash: str) -> bool:
    try:
        return _HASHER.verify(password_hash, _canonical(password))
    except VerifyMismatchError:
        return False


def _canonical(password: str) -> str:
    """The same password typed on another keyboard may have other code points (NIST SP 800-63B, 3.1.1.2)."""
    return unicodedata.normalize("NFKC", password)
