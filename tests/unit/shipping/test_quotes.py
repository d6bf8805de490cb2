import pytest

from mercato.money import Money
from shipping.quotes import quote


@pytest.mark.parametrize(
    ("country", "items", "pence"),
    [
        ("GB", 1, [395, 695]),
        ("GB", 3, [495, 855]),
        ("FR", 1, [995, 1895]),
        ("NO", 2, [1145, 2145]),
        ("US", 1, [1795, 3495]),
        ("XX", 2, [2145, 4045]),
        ("GB", 100_000, [5_000_345, 8_000_615]),
    ],
)
def test_the_price_follows_the_zone_and_the_items(country: str, items: int, pence: list[int]) -> None:
    assert [one.price for one in quote(country, items, "sandbox")] == [
        Money(amount=amount, currency="GBP") for amount in pence
    ]


def test_express_is_faster_and_dearer_everywhere() -> None:
    for country in ("GB", "DE", "JP"):
        standard, express = quote(country, 5, "sandbox")
        assert (standard.service, express.service) == ("standard", "express")
        assert express.days < standard.days
        assert standard.price < express.price
