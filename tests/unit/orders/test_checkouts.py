"""What answers in front of the checkout, such as Lambda that throttles or a proxy, is no answer of the checkout."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from mercato.peers.client import PeerUnavailable
from mercato.peers.transport import Answer
from orders.checkouts import Quotes
from orders.order import Address

ADDRESS = Address(name="Ada", line1="1 High Street", city="Leeds", postcode="LS1 1AA", country="GB")


def answering(answer: Answer) -> Quotes:
    class Checkout:
        def send(self, *_: Any, **__: Any) -> Answer:
            return answer

    client: Any = Checkout()
    return Quotes(client)


@pytest.mark.parametrize(
    "answer",
    [
        Answer(403, {}, b"RBAC: access denied"),
        Answer(404, {}, b""),
        Answer(422, {}, b"<html>"),
        Answer(422, {}, b'"refused"'),
        Answer(429, {}, b'{"Reason":"ConcurrentInvocationLimitExceeded","message":"Rate Exceeded."}'),
        Answer(200, {}, b"[]"),
    ],
    ids=lambda answer: f"{answer.status} {answer.body.decode()[:9]}",
)
@pytest.mark.parametrize(
    "ask",
    [
        lambda quotes: quotes.verify_quote("ada", "a quote"),
        lambda quotes: quotes.price_goods({"mug": 1}, ADDRESS, None),
    ],
    ids=["verify", "price"],
)
def test_an_answer_that_is_not_of_the_checkout_can_be_tried_again(
    ask: Callable[[Quotes], object], answer: Answer
) -> None:
    with pytest.raises(PeerUnavailable):
        ask(answering(answer))
