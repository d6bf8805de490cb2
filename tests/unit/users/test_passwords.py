"""Password hashes."""

from argon2 import PasswordHasher, extract_parameters

from users.passwords import hashing


def test_a_password_matches_its_own_hash_alone() -> None:
    stored = hashing.hash_password("correct horse battery")

    assert hashing.password_matches("correct horse battery", stored)
    assert not hashing.password_matches("correct horse batterx", stored)
    assert "correct" not in stored


def test_the_same_password_is_hashed_differently_each_time() -> None:
    assert hashing.hash_password("correct horse") != hashing.hash_password("correct horse")


def test_the_hash_is_argon2id_with_the_parameters_that_owasp_names() -> None:
    assert hashing.hash_password("correct horse").startswith("$argon2id$v=19$m=19456,t=2,p=1$")


def test_a_password_typed_as_other_code_points_is_the_same() -> None:
    assert hashing.password_matches("cafe\u0301 au lait", hashing.hash_password("caf\u00e9 au lait"))


def test_the_unmatchable_hash_costs_what_a_real_one_does() -> None:
    real = extract_parameters(hashing.hash_password("correct horse"))

    assert extract_parameters(hashing.UNMATCHABLE) == real


def test_no_password_matches_the_unmatchable_hash() -> None:
    assert not hashing.password_matches("", hashing.UNMATCHABLE)
    assert not hashing.password_matches("correct horse", hashing.UNMATCHABLE)


def test_a_hash_with_other_parameters_is_outdated() -> None:
    weak = PasswordHasher(time_cost=1, memory_cost=1024, parallelism=1).hash("correct horse")

    assert hashing.is_outdated(weak)
    assert not hashing.is_outdated(hashing.hash_password("correct horse"))
