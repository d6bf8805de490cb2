"""An order keeps the language that its buyer named."""

from __future__ import annotations

import pytest

from mercato.languages import Language
from orders import domain
from orders.facts import OrderPlaced, read_fact
from tests.unit.orders.test_domain import line


@pytest.mark.parametrize(("stored", "read"), [("de", Language.DE), ("fr", None), (None, None)])
def test_a_language_of_a_later_release_is_none(stored: str | None, read: Language | None) -> None:
    """An order that a later release took is read after a rollback."""
    (placed,) = domain.place("ord-1", "cust-1", (line(),), "tok_ok", "print-1")
    fact = read_fact("OrderPlaced", placed.model_dump(mode="json") | {"language": stored})

    assert isinstance(fact, OrderPlaced)
    assert fact.language is read
