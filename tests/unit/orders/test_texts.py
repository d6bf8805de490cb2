"""The mail with the link to a guest's order."""

from __future__ import annotations

import pytest

from mercato.languages import Language
from orders import texts


@pytest.mark.parametrize("shop_url", ["https://shop.example", "https://shop.example/"])
def test_the_link_has_one_slash_before_the_page(shop_url: str) -> None:
    body = texts.guest_link("Ada", "K7QF2-M9X40", shop_url, "a-token", None).body
    assert "https://shop.example/guest-order#token=a-token" in body


@pytest.mark.parametrize(
    ("name", "language", "greeting"),
    [
        ("Ada\nLovelace", None, "Hello Ada Lovelace,"),
        ("a prize: https://evil.example", None, "Hello there,"),
        ("ein Preis: evil.example", Language.DE, "Hallo liebe Kundin, lieber Kunde,"),
    ],
)
def test_a_guest_is_greeted_by_a_name_without_a_link(name: str, language: Language | None, greeting: str) -> None:
    """The order may have been placed with the address of somebody else."""
    body = texts.guest_link(name, "K7QF2-M9X40", "https://shop.example", "a-token", language).body
    assert body.startswith(f"{greeting}\n\n")
    assert "evil" not in body
