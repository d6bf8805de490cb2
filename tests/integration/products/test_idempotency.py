"""A product or a catalogue that is sent twice."""

from __future__ import annotations

from typing import Any

import pytest

from mercato.errors import TransientError
from mercato.store.dynamo import Table, Write

NEW = {"sku": "85123A", "name": "White hanging heart", "price": {"amount": 255, "currency": "GBP"}}
CSV = "sku,name,price,currency\nA,Lamp,2.55,GBP\nB,Vase,1.00,GBP\n"


def test_a_product_that_is_sent_again_is_the_same_product(service: Any) -> None:
    assert service.call("POST", "", NEW, key="k-1") == service.call("POST", "", NEW, key="k-1")
    assert len(service.skus()) == 1
    status, problem = service.call("POST", "", NEW | {"name": "Other"}, key="k-1")
    assert (status, problem["type"]) == (422, "urn:mercato:problem:idempotency-key-reused")
    assert service.call("POST", "", NEW, key="k-2")[0] == 409


@pytest.mark.parametrize(("path", "body"), [("", NEW), ("/imports", CSV)])
def test_without_a_key_nothing_is_made(service: Any, path: str, body: Any) -> None:
    status, problem = service.call("POST", path, body, key=None)
    assert (status, problem["type"]) == (400, "urn:mercato:problem:invalid-idempotency-key")
    assert service.skus() == []


def test_an_import_that_is_sent_again_gets_its_first_report(service: Any) -> None:
    status, report = service.call("POST", "/imports", CSV, key="k-1")
    assert (status, report["created"]) == (201, 2)
    assert service.call("POST", "/imports", CSV, key="k-1") == (201, report)
    status, later = service.call("POST", "/imports", CSV, key="k-2")
    assert (status, later["created"], later["unchanged"]) == (201, 0, 2)


def test_a_product_whose_maker_died_before_it_could_answer_is_found_and_not_refused(
    service: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    transact = Table.transact

    def die_after(self: Table, writes: list[Write], **options: Any) -> None:
        monkeypatch.setattr(Table, "transact", transact)
        transact(self, writes, **options)
        raise TransientError("the process died")

    monkeypatch.setattr(Table, "transact", die_after)
    assert service.call("POST", "", NEW, key="k-1")[0] == 503
    status, product = service.call("POST", "", NEW, key="k-1")
    assert (status, product["sku"]) == (201, "85123A")
    assert len(service.skus()) == 1
