"""botocore repeats a write whose response was lost. The second one finds the first one, and that is no error."""

from __future__ import annotations

import ast
import json
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from botocore.awsrequest import AWSResponse, HTTPHeaders
from botocore.exceptions import ConnectionClosedError
from moto.core.models import botocore_stubber

from carts.store import Carts
from infra.paths import ROOT
from mercato import aws
from mercato.guests import guest_of
from mercato.store import dynamo
from mercato.store.dynamo import ConditionFailed, Table
from ops.dead_letters.audit import RedriveAudit
from ops.dead_letters.message import Selection
from ops.dead_letters.redrive import Instruction
from products.store import Products
from tests.integration.redelivery.lossy import RawResponse


@pytest.fixture
def lossy(cloud: None) -> list[str]:
    """DynamoDB executes the first put and its response is lost. Returns the received puts."""
    arrived: list[str] = []

    def lose(request: Any, event_name: str, **_: Any) -> None:
        arrived.append(request.body.decode())
        if len(arrived) == 1:
            botocore_stubber(event_name=event_name, request=request)
            raise ConnectionClosedError(endpoint_url=request.url)

    aws.client("dynamodb").meta.events.register_first("before-send.dynamodb.PutItem", lose)
    return arrived


def test_the_report_of_an_import_is_kept(
    losing: Callable[[str], list[str]], make_table: Callable[[str], Table], noon: datetime
) -> None:
    products = Products(make_table("ProductsTable"))
    arrived = losing("TransactWriteItems")
    products.save_report("report-1", {"created": 3}, noon)
    assert products.get_report("report-1", noon) == {"created": 3}
    assert [one["state"] for one in products.list_reports(10, None, noon)[0]] == ["done"]
    assert len(arrived) == 2


def test_a_guest_has_a_cart(lossy: list[str], make_table: Callable[[str], Table], noon: datetime) -> None:
    carts = Carts(make_table("CartsTable"))
    assert carts.open_guest_cart("a-guest", noon) == carts.load_guests("a-guest", noon)
    assert carts.find_of_guest(guest_of("a-guest"), noon) == carts.load_guests("a-guest", noon)
    assert len(lossy) == 3


def test_a_redrive_is_noted(lossy: list[str], make_table: Callable[[str], Table], noon: datetime) -> None:
    table = make_table("OpsTable")
    audit = RedriveAudit(table)
    instruction = Instruction(Selection(), 10, False, "mended", "boss", "request-1", noon)
    audit_id = audit.open("orders-dlq", instruction)
    (noted,) = table.query_all("DLQ#orders-dlq")
    assert (noted["sk"], noted["outcome"]) == (f"AUDIT#{audit_id}", "started")
    assert len(lossy) == 2


@pytest.fixture
def losing(cloud: None) -> Callable[[str], list[str]]:
    """DynamoDB executes the first call of an operation and its response is lost. Returns the received calls.

    As on AWS, and unlike moto, a transaction that is repeated with its ClientRequestToken is not executed again.
    """

    def lose(operation: str) -> list[str]:
        arrived: list[str] = []

        tokens: set[str] = set()

        def drop(request: Any, event_name: str, **_: Any) -> AWSResponse | None:
            arrived.append(request.body.decode())
            token = json.loads(arrived[-1]).get("ClientRequestToken")
            if token in tokens:
                return AWSResponse(request.url, 200, HTTPHeaders(), RawResponse(b"{}"))
            tokens.update({token} if token else ())
            if len(arrived) == 1:
                botocore_stubber(event_name=event_name, request=request)
                raise ConnectionClosedError(endpoint_url=request.url)
            return None

        aws.client("dynamodb").meta.events.register_first(f"before-send.dynamodb.{operation}", drop)
        return arrived

    return lose


def test_a_conditional_update_whose_answer_is_lost_is_done_once(
    losing: Callable[[str], list[str]], make_table: Callable[[str], Table]
) -> None:
    table = make_table("OpsTable")
    table.write(dynamo.put({"pk": "A", "sk": "B", "state": "old", "n": 1}))
    arrived = losing("TransactWriteItems")
    names, values = {"#state": "state"}, {":old": "old", ":new": "new", ":one": 1}
    table.write(dynamo.update("A", "B", "SET #state = :new ADD n :one", "#state = :old", names=names, values=values))
    assert table.get("A", "B") == {"pk": "A", "sk": "B", "state": "new", "n": 2}
    assert len(arrived) == 2


def test_a_conditional_delete_whose_answer_is_lost_is_done(
    losing: Callable[[str], list[str]], make_table: Callable[[str], Table]
) -> None:
    table = make_table("OpsTable")
    table.write(dynamo.put({"pk": "A", "sk": "B", "owner": "me"}))
    arrived = losing("DeleteItem")
    table.write(dynamo.delete("A", "B", "#owner = :me", names={"#owner": "owner"}, values={":me": "me"}))
    assert table.get("A", "B") is None
    assert len(arrived) == 2


def test_a_put_that_meets_another_item_is_refused_also_when_its_answer_was_lost(
    losing: Callable[[str], list[str]], make_table: Callable[[str], Table]
) -> None:
    table = make_table("OpsTable")
    table.write(dynamo.put({"pk": "A", "sk": "B", "owner": "another"}))
    losing("PutItem")
    with pytest.raises(ConditionFailed):
        table.write(dynamo.put_new({"pk": "A", "sk": "B", "owner": "me"}))


def test_a_put_whose_answer_is_lost_finds_its_own_item(
    losing: Callable[[str], list[str]], make_table: Callable[[str], Table]
) -> None:
    table = make_table("OpsTable")
    arrived = losing("PutItem")
    table.write(dynamo.put_new({"pk": "A", "sk": "B", "owner": "me"}))
    assert len(arrived) == 2
    with pytest.raises(ConditionFailed):  # a second request of the same content is no retry of the first
        table.write(dynamo.put_new({"pk": "A", "sk": "B", "owner": "me"}))


# An update that returns the item cannot be recognised as a retry. Each of these recognises its own write's result.
RETURNING = {
    "mercato.events.dead_letters": "a failed try is counted twice, and the message is a dead letter one try early",
    "orders.store": "the time of the departure is set once, and its place is only read",
    "shipping.bookings": "the booking is cancelled already, and its parcel is only read",
    "users.sessions.store": "the token is found as the previous one, which is good for ten seconds",
    "users.store": "the name or role that it sets is set already; only the version moves once more",
}


def test_no_write_goes_past_the_table_but_those_that_are_known() -> None:
    returning = set()
    direct = set()
    # Packages stand two folders below the root: functions/orders/orders, layers/common/mercato.
    for path in sorted([*ROOT.glob("functions/*/*/**/*.py"), *ROOT.glob("layers/common/mercato/**/*.py")]):
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts[2:])
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.keyword) and node.arg == "return_values":
                returning.add(module)
            if (
                isinstance(node, ast.Attribute)
                and isinstance(node.value, ast.Call)
                and node.attr in {"put_item", "update_item", "delete_item"}
            ):
                direct.add(module)
    assert returning == set(RETURNING)
    # The limiter counts a repeated request twice: it may refuse too early, and never lets too many pass.
    assert direct == {"mercato.http.rate_limit"}
