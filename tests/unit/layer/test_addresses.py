"""What countries ask of an address: the compact table, and what it refuses."""

from __future__ import annotations

import re

import pytest

from infra import addresses as written
from mercato.addresses import InvalidAddress, findings, region_of, require_address, require_postcode, rules_of
from mercato.countries import CODES


def test_the_table_is_that_of_the_package() -> None:
    """If not: python -m infra.addresses."""
    assert written.PATH.read_text(encoding="utf-8") == written.text()


@pytest.mark.parametrize("country", sorted(CODES))
def test_the_rules_of_each_country_can_be_met(country: str) -> None:
    rules = rules_of(country)
    assert {rules.postcode, rules.region} <= {"", "optional", "required"}
    if rules.pattern:
        re.compile(rules.pattern)
    postcode = rules.example if rules.postcode else ""
    region = rules.regions[0].stored if rules.regions else "Anywhere" if rules.region else None
    assert list(findings(country, postcode, region)) == []
    names = [one.stored for one in rules.regions]
    assert len(names) == len(set(names))
    assert max(map(len, names), default=0) <= 60


@pytest.mark.parametrize(
    ("country", "postcode", "region", "wrong"),
    [
        ("GB", "SW1Y 4JH", None, []),
        ("GB", "sw1y 4jh", None, []),
        ("GB", "", None, ["postcode"]),
        ("GB", "12345", None, ["postcode"]),
        ("HK", "", "Kowloon", []),
        ("HK", "", None, ["region"]),
        ("AE", "", "DU", []),
        ("AE", "", "", ["region"]),
        ("AE", "", "Paris", ["region"]),
        ("AE", "00000", "Dubai", []),
        ("US", "95014", "CA", []),
        ("US", "95014-1010", "california", []),
        ("US", "95014", None, ["region"]),
        ("US", "SW1Y 4JH", "ZZ", ["postcode", "region"]),
        ("US", "", None, ["postcode", "region"]),
        ("JP", "154-0023", "東京都", []),
        ("IE", "", None, []),
        ("IE", "A65 F4E2", "D", []),
        ("AQ", "", None, []),
    ],
)
def test_a_postcode_and_a_region_are_asked_for_where_the_country_uses_them(
    country: str, postcode: str, region: str | None, wrong: list[str]
) -> None:
    assert [field for field, _ in findings(country, postcode, region)] == wrong


@pytest.mark.parametrize(
    ("country", "typed", "stored"),
    [
        ("US", "California", "CA"),
        ("US", "ca", "CA"),
        ("JP", "Tokyo", "13"),
        ("AE", "دبي", "DU"),
        ("HK", "九龍", "Kowloon"),
        ("GB", "Midlothian", "Midlothian"),
        ("FR", None, None),
    ],
)
def test_a_region_is_stored_by_its_code(country: str, typed: str | None, stored: str | None) -> None:
    assert region_of(country, typed) == stored


def test_each_finding_is_told_at_its_field() -> None:
    with pytest.raises(InvalidAddress) as error:
        require_address("US", "", None, "billing_address")
    assert [one["field"] for one in error.value.extra["errors"]] == [
        "billing_address.postcode",
        "billing_address.region",
    ]
    with pytest.raises(InvalidAddress):
        require_postcode("US", "", "shipping_address")
    require_postcode("US", "anything", "shipping_address")
    require_postcode("HK", "", "shipping_address")
