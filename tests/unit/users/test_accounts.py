"""Addresses and names: one form each, and nothing that could harm a reader."""

import pytest

from mercato.email_address import InvalidEmail, read_email
from users.domain import InvalidName, read_name


@pytest.mark.parametrize(
    ("typed", "stored"),
    [
        ("ada@example.com", "ada@example.com"),
        ("  Ada.Lovelace@Example.COM ", "ada.lovelace@example.com"),
        ("ada+shop@mail.example.co.uk", "ada+shop@mail.example.co.uk"),
        ("\uff41\uff44\uff41@example.com", "ada@example.com"),  # full-width letters
        ("\u212aim@example.com", "kim@example.com"),  # the Kelvin sign
        ("o'brien@xn--bcher-kva.example", "o'brien@xn--bcher-kva.example"),
    ],
)
def test_an_address_has_one_form(typed: str, stored: str) -> None:
    assert read_email(typed) == stored


@pytest.mark.parametrize(
    "typed",
    [
        "",
        "ada",
        "ada@",
        "@example.com",
        "ada@example",
        "ada@@example.com",
        "ada@exa mple.com",
        "ada lovelace@example.com",
        ".ada@example.com",
        "ada.@example.com",
        "ada..l@example.com",
        "ada@-example.com",
        "ada@example-.com",
        "ada@example..com",
        "ada@example.com.",
        "ada@192.168.0.1",
        "ada@[192.168.0.1]",
        "ada@example.com\nBcc: all@example.com",
        "Ada <ada@example.com>",
        "stra\u00dfe@example.com",  # would casefold into another person's address
        "ad\u0430@example.com",  # a Cyrillic a
        "ada@ex\u0430mple.com",
        "ada#\x00@example.com",
        "a" * 65 + "@example.com",
        "ada@" + "a" * 64 + ".com",
        "ada@" + "abcdefghi." * 25 + "com",
    ],
)
def test_what_is_not_an_address_is_refused(typed: str) -> None:
    with pytest.raises(InvalidEmail):
        read_email(typed)


def test_a_long_text_is_refused_at_once() -> None:
    with pytest.raises(InvalidEmail):
        read_email("a@" + "a." * 100_000)


def test_a_name_loses_the_spaces_around_it_and_keeps_those_inside() -> None:
    assert read_name("  Ada  King \t") == "Ada  King"


def test_a_name_in_any_script_is_kept() -> None:
    assert read_name("\u0410\u0434\u0430 \u5c0f\u6797") == "\u0410\u0434\u0430 \u5c0f\u6797"


@pytest.mark.parametrize("name", ["", "   ", "Ada\nBcc: x", "Ada\x00", "Ada\u202e", "Ada\u2028King", "a" * 101])
def test_a_name_that_is_empty_too_long_or_not_shown_is_refused(name: str) -> None:
    with pytest.raises(InvalidName):
        read_name(name)


@pytest.mark.parametrize("name", ["ශ්\u200dරී", "علی\u200cرضا", "👨\u200d👩\u200d👧", "O’Neill", "Trần Thị Hà"])
def test_a_name_may_have_the_joiners_that_its_script_needs(name: str) -> None:
    assert read_name(name) == name


def test_an_address_that_no_mail_reaches_is_refused_with_the_reason() -> None:
    with pytest.raises(InvalidEmail, match="before the @"):
        read_email("jos\u00e9@example.com")


@pytest.mark.parametrize(
    ("typed", "stored"),
    [
        ("ada@m\u00fcnchen.example", "ada@xn--mnchen-3ya.example"),
        ("Ada@MU\u0308NCHEN.example", "ada@xn--mnchen-3ya.example"),
        ("ada@XN--MNCHEN-3YA.Example", "ada@xn--mnchen-3ya.example"),
        ("ada@stra\u00dfe.example", "ada@xn--strae-oqa.example"),
        ("ada@\u4f8b\u3048.\u30c6\u30b9\u30c8", "ada@xn--r8jz45g.xn--zckzah"),
        ("ada@\u043f\u043e\u0447\u0442\u0430.\u0440\u0444", "ada@xn--80a1acny.xn--p1ai"),
        ("ada@\u4f8b\uff0eexample", "ada@xn--fsq.example"),  # a full-width dot
        ("ada@\u0646\u0627\u0645\u0647\u200c\u0627\u06cc.example", "ada@xn--mgba3gch31f060k.example"),
    ],
)
def test_an_international_domain_has_one_form_however_it_is_written(typed: str, stored: str) -> None:
    assert read_email(typed) == stored
    assert read_email(stored) == stored


@pytest.mark.parametrize(
    ("typed", "reason"),
    [
        ("ada@ex\u0430mple.com", "mixes letters of several scripts"),
        ("ada@\u0440\u0430ypal.example", "mixes letters of several scripts"),
        ("ada@\u03bfne.example", "mixes letters of several scripts"),
        ("ada@m\u00fcnchen_.example", "no domain may have"),
        ("ada@\U0001f600.example", "no domain may have"),
        ("ada@m\u00fcn\u202echen.example", "no domain may have"),
        ("ada@a\u200cb\u00fc.example", "no domain may have"),
        ("ada@" + "\u00fc" * 63 + ".example", "no domain may have"),
        ("jos\u00e9@m\u00fcnchen.example", "before the @"),
    ],
)
def test_an_international_address_that_is_refused_says_why(typed: str, reason: str) -> None:
    with pytest.raises(InvalidEmail, match=reason):
        read_email(typed)


def test_a_refused_name_names_the_character() -> None:
    with pytest.raises(InvalidName, match=r"^A name may not have U\+202E RIGHT-TO-LEFT OVERRIDE; take it out"):
        read_name("Ada\u202e")
