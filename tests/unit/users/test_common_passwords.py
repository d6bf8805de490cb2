"""Common passwords are refused, also with the usual variations. Other passwords are accepted."""

import pytest

from users.passwords.common_passwords import is_common


@pytest.mark.parametrize(
    "password",
    [
        "password123",
        "Password123!",
        "P@ssw0rd2026",
        "p a s s w o r d",
        "1234567890",
        "9876543210",
        "0123456789012",
        "qwertyuiop",
        "QWERTYUIOP",
        "poiuytrewq",
        "1q2w3e4r5t",
        "1qaz2wsx3edc",
        "aaaaaaaaaa",
        "1212121212",
        "abcabcabcabc",
        "letmein2026",
        "iloveyou!!",
        "welcome2026!",
        "Summer2026!!",
        "passwordpassword",
        "monkeymonkey1",
        "mercato2026",
        "\uff50\uff41\uff53\uff53\uff57\uff4f\uff52\uff44\uff11\uff12\uff13",  # full-width
        "correct horse battery staple",
    ],
)
def test_a_common_password_is_recognised(password: str) -> None:
    assert is_common(password)


@pytest.mark.parametrize("password", ["Lovelace1815", "ada.lovelace1", "AdaLovelace!!", "l0velace2026"])
def test_the_owners_own_words_are_too_easy(password: str) -> None:
    assert is_common(password, "Ada Lovelace", "ada.lovelace@example.com", "ada.lovelace")


@pytest.mark.parametrize(
    "password",
    [
        "correct horse battery",
        "heron teas",
        "password for the tea house",
        "k3hT!xw9Qz",
        "demo 12ab password",
        "ünïcödé wörds",
    ],
)
def test_any_other_password_is_fine(password: str) -> None:
    assert not is_common(password, "Ada Lovelace", "ada@example.com", "ada")


def test_a_short_name_forbids_nothing() -> None:
    assert not is_common("ada-1815-analytical", "Ada", "ada@example.com", "ada")
