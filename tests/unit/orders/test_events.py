"""The events that an order publishes."""

from __future__ import annotations

import pytest

from mercato.events import EventModel
from orders.events import PUBLISHES


@pytest.mark.parametrize("model", PUBLISHES, ids=lambda model: str(model.TYPE))
def test_every_example_is_a_valid_event(model: type[EventModel]) -> None:
    assert model.model_validate(model.EXAMPLE).model_dump(mode="json") == model.EXAMPLE


def test_no_event_carries_the_payment_token() -> None:
    assert not any("payment_token" in model.model_fields for model in PUBLISHES)
