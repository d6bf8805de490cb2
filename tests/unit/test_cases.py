"""Cases and fixtures of all services: what is missing or of two kinds is named with the file that mends it."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import pytest

from infra.contract.events import Subscription
from mercato.events import Reads
from tests.integration.every_service import offered
from tests.kit import cases
from tests.kit.asked import asking
from tests.kit.cases import Accepted

GIVEN = asking("/api/gifts/mine")


@pytest.fixture
def plain() -> None: ...


@pytest.fixture
def needing_settings(settings: None) -> None: ...


@pytest.fixture
def needing_noon(noon: None) -> None: ...


def conftest(**fixtures: Any) -> Any:
    return SimpleNamespace(**fixtures)


def test_a_service_s_main_fixture_has_its_name_and_what_it_needs_its_own() -> None:
    gifts = conftest(service=needing_settings, settings=needing_noon, faults=plain)
    shop = conftest(service=plain, desk=needing_noon, faults=plain)

    found = offered({"gifts": gifts, "shop": shop}, {"shop": ["desk"]})

    assert found == {"gifts": needing_settings, "settings": needing_noon, "shop": plain, "desk": needing_noon}


def test_two_services_cannot_offer_a_fixture_of_the_same_name() -> None:
    one, other = (conftest(service=needing_settings, settings=plain) for _ in range(2))
    with pytest.raises(LookupError, match=r"gifts/conftest.py and .*shop/conftest.py both have a fixture `settings`"):
        offered({"gifts": one, "shop": other}, {})


def test_no_service_can_replace_a_fixture_that_every_test_has() -> None:
    gifts = conftest(service=needing_noon, noon=needing_noon)
    with pytest.raises(LookupError, match=r"tests/conftest.py and .*gifts/conftest.py both have a fixture `noon`"):
        offered({"gifts": gifts}, {})


def test_a_conftest_without_a_main_fixture_is_named() -> None:
    with pytest.raises(LookupError, match=r"tests/integration/gifts/conftest.py has no fixture `service`"):
        offered({"gifts": conftest(desk=plain)}, {})


@pytest.mark.parametrize("listed", [Accepted("PUT /api/gifts/mine", GIVEN), ("PUT /api/gifts/mine",)])
def test_a_list_of_anything_else_is_named(listed: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tests.integration.gifts.cases", SimpleNamespace(ACCEPTED=listed))
    with pytest.raises(TypeError, match=r"ACCEPTED in tests/integration/gifts/cases.py is not a tuple of Accepted"):
        cases.of("gifts", "ACCEPTED", Accepted)


def test_an_event_without_a_case_is_named_with_its_file() -> None:
    heard = Subscription("gifts", "order.shipped", Reads, "gifts.consumers", "gifts-notes")
    with pytest.raises(LookupError, match=r"order.shipped in the queue gifts-notes .* HEARD in .*/gifts/cases.py"):
        cases.heard_of(heard)
