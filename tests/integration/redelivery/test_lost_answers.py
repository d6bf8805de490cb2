"""The client library sends a write again when its answer was lost: the second finds the first, and that is no error."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from botocore.exceptions import ConnectionClosedError
from moto.core.models import botocore_stubber

from carts.store import Carts
from mercato import aws
from mercato.dynamo import Table
from ops.letters import Selection
from ops.redrive import Instruction
from ops.redrive_audit import RedriveAudit
from products.store import Products


@pytest.fixture
def lossy(cloud: None) -> list[str]:
    """DynamoDB does the first put and its answer never comes. The puts, each time that they arrive."""
    arrived: list[str] = []

    def lose(request: Any, event_name: str, **_: Any) -> None:
        arrived.append(request.body.decode())
        if len(arrived) == 1:
            botocore_stubber(event_name=event_name, request=request)
            raise ConnectionClosedError(endpoint_url=request.url)

    aws.client("dynamodb").meta.events.register_first("before-send.dynamodb.PutItem", lose)
    return arrived


def test_the_report_of_an_import_is_kept(lossy: list[str], make_table: Callable[[str], Table], noon: datetime) -> None:
    products = Products(make_table("ProductsTable"))
    products.save_report("report-1", {"created": 3}, noon)
    assert products.get_report("report-1", noon) == {"created": 3}
    assert len(lossy) == 2


def test_a_guest_has_a_cart(lossy: list[str], make_table: Callable[[str], Table], noon: datetime) -> None:
    carts = Carts(make_table("CartsTable"))
    assert carts.open_guest_cart("a-guest", noon) == carts.load_guests("a-guest", noon)
    assert len(lossy) == 2


def test_a_redrive_is_noted(lossy: list[str], make_table: Callable[[str], Table], noon: datetime) -> None:
    table = make_table("OpsTable")
    audit = RedriveAudit(table)
    instruction = Instruction(Selection(), 10, False, "mended", "boss", "request-1", noon)
    audit_id = audit.open("orders-dlq", instruction)
    (noted,) = table.query_all("DLQ#orders-dlq")
    assert (noted["sk"], noted["outcome"]) == (f"AUDIT#{audit_id}", "started")
    assert len(lossy) == 2
