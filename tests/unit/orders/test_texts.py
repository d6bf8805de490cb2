"""The mail with the link to a guest's order."""

from __future__ import annotations

import pytest

from orders import texts


@pytest.mark.parametrize("shop_url", ["https://shop.example", "https://shop.example/"])
def test_the_link_has_one_slash_before_the_page(shop_url: str) -> None:
    body = texts.guest_link("Ada", "K7QF2-M9X40", shop_url, "a-token", None).body
    assert "https://shop.example/guest-order#token=a-token" in body
