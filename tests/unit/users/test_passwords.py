"""Password hashes."""

from argon2 import PasswordHasher, extract_parameters

from users import passwords


def test_a_password_matches_its_own_hash_alone() -> None:
    stored = passwords.hash_password("correct horse battery")

    assert passwords.password_matches("correct horse battery", stored)
    assert not passwords.password_matches("correct horse batterx", stored)
    assert "correct" not in stored


def test_the_same_password_is_hashed_differently_each_time() -> None:
    assert passwords.hash_password("correct horse") != passwords.hash_password("correct horse")


def test_the_hash_is_argon2id_with_the_parameters_that_owasp_names() -> None:
    assert passwords.hash_password("correct horse").startswith("$argon2id$v=19$m=19456,t=2,p=1$")


def test_a_password_typed_as_other_code_points_is_the_same() -> None:
    assert passwords.password_matches("cafe\u0301 au lait", passwords.hash_password("caf\u00e9 au lait"))


def test_the_unmatchable_hash_costs_what_a_real_one_does() -> None:
    real = extract_parameters(passwords.hash_password("correct horse"))

    assert extract_parameters(passwords.UNMATCHABLE) == real


def test_no_password_matches_the_unmatchable_hash() -> None:
    assert not passwords.password_matches("", passwords.UNMATCHABLE)
    assert not passwords.password_matches("correct horse", passwords.UNMATCHABLE)


def test_a_hash_with_other_parameters_is_outdated() -> None:
    weak = PasswordHasher(time_cost=1, memory_cost=1024, parallelism=1).hash("correct horse")

    assert passwords.is_outdated(weak)
    assert not passwords.is_outdated(passwords.hash_password("correct horse"))
