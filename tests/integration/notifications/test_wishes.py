"""Wishes are told once for each rise of the stock, oldest first, as many as units came in, whatever dies or repeats."""

from __future__ import annotations

import contextlib
import itertools
from typing import Any

import boto3
import pytest

from mercato.aws.mail import MailNotSent
from notifications import consumers
from notifications.wishes.domain import MOST_WISHES
from tests.integration.interrupter import Interrupter

WISH = "/api/notifications/wishes/mug"


class Killed(BaseException):
    """The process ends here."""


def items_of(service: Any, pk: str) -> list[str]:
    items = boto3.client("dynamodb", "us-east-1").scan(TableName=service.table.name)["Items"]
    return sorted(item["sk"]["S"] for item in items if item["pk"]["S"] == pk)


def waits(service: Any, *users: str) -> None:
    """Registers the users, and lets them ask for the mug one second after the other."""
    for user in users:
        service.register(user, f"{user}@example.com", user.title())
        assert service.call("PUT", WISH, user=user)[0] == 200
        service.pass_time(1)


def told(service: Any) -> list[str]:
    return [to.partition("@")[0] for to, subject, _ in service.mailer.sent if "back in stock" in subject]


def listed(service: Any, user: str = "user-1") -> list[str]:
    status, body = service.call("GET", "/api/notifications/wishes", user=user)
    assert status == 200, body
    return [one["product_id"] for one in body["items"]]


@pytest.fixture
def sold_out(service: Any) -> Any:
    service.sells("mug")
    assert service.receive(service.stock_event(0, 5)) == []
    return service


def test_the_customer_is_told_when_the_product_is_back(sold_out: Any) -> None:
    waits(sold_out, "anna")
    assert listed(sold_out, "anna") == ["mug"]

    assert sold_out.receive(sold_out.stock_event(3, 6)) == []

    ((to, subject, body),) = sold_out.mailer.sent
    assert (to, subject) == ("anna@example.com", "A mug is back in stock")
    assert "https://shop.example/p/mug" in body
    assert listed(sold_out, "anna") == []
    (found,) = [one for one in sold_out.listed("anna")["items"] if one["kind"] == "back_in_stock"]
    assert (found["status"], found["order_id"]) == ("sent", None)


def test_a_wish_is_idempotent_and_can_be_dropped_twice(sold_out: Any) -> None:
    waits(sold_out, "anna")
    first = sold_out.call("PUT", WISH, user="anna")
    sold_out.pass_time(60)
    assert sold_out.call("PUT", WISH, user="anna") == first

    assert [sold_out.call("DELETE", WISH, user="anna")[0] for _ in range(2)] == [204, 204]

    assert listed(sold_out, "anna") == []
    assert items_of(sold_out, "PRODUCT#mug") == ["STOCK"]
    assert sold_out.receive(sold_out.stock_event(10, 6)) == []
    assert told(sold_out) == []


def test_nobody_waits_for_what_is_in_stock_unknown_or_no_longer_sold(service: Any) -> None:
    service.register()
    assert service.call("PUT", WISH)[1]["type"] == "urn:mercato:problem:unknown-product"
    service.sells("mug", available=None)
    assert service.call("PUT", WISH)[1]["type"] == "urn:mercato:problem:in-stock"
    service.sells("mug", status="discontinued")
    assert service.call("PUT", WISH)[1]["type"] == "urn:mercato:problem:unknown-product"
    assert items_of(service, "PRODUCT#mug") == []


@pytest.mark.parametrize(("stock", "catalogue", "status"), [(0, 7, 200), (7, 0, 409), (7, None, 409), (0, None, 200)])
def test_the_last_event_decides_over_a_catalogue_that_is_ahead_or_behind(
    service: Any, stock: int, catalogue: int | None, status: int
) -> None:
    service.register()
    assert service.receive(service.stock_event(stock, 5)) == []
    service.sells("mug", available=catalogue)
    assert service.call("PUT", WISH)[0] == status


def test_the_oldest_wishes_are_told_as_many_as_units_came_in(sold_out: Any) -> None:
    waits(sold_out, "anna", "bob", "cleo", "dora")

    assert sold_out.receive(sold_out.stock_event(2, 6)) == []
    assert told(sold_out) == ["anna", "bob"]

    # Units that leave answer no wish, and the next rise answers the next ones.
    assert sold_out.receive(sold_out.stock_event(1, 7)) == []
    assert told(sold_out) == ["anna", "bob"]
    assert sold_out.receive(sold_out.stock_event(2, 8)) == []
    assert told(sold_out) == ["anna", "bob", "cleo"]


def test_a_flap_tells_each_wish_once(sold_out: Any) -> None:
    waits(sold_out, "anna", "bob")
    for sequence, available in enumerate([1, 0, 1, 0, 1], start=6):
        assert sold_out.receive(sold_out.stock_event(available, sequence)) == []
    assert told(sold_out) == ["anna", "bob"]


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_events_in_any_order_and_doubled_tell_each_wish_once_and_never_more_than_came_in(
    sold_out: Any, order: tuple[int, ...]
) -> None:
    waits(sold_out, "anna", "bob", "cleo", "dora", "emil")
    events = [sold_out.stock_event(available, sequence) for sequence, available in enumerate([1, 0, 2], start=6)]
    for index in (*order, *order):
        assert sold_out.receive(events[index]) == []
    found = told(sold_out)
    assert len(found) == len(set(found)) <= 3
    assert found == ["anna", "bob", "cleo", "dora", "emil"][: len(found)]
    if order == (0, 1, 2):
        assert len(found) == 3


@pytest.mark.parametrize("call", range(24))
def test_a_delivery_that_is_killed_anywhere_is_completed_by_the_next(sold_out: Any, call: int) -> None:
    waits(sold_out, "anna", "bob", "cleo")
    interrupter = Interrupter()

    def kill() -> None:
        raise Killed

    interrupter.at(call, kill)
    with contextlib.suppress(Killed):
        sold_out.receive(sold_out.stock_event(2, 6))
    interrupter.act = None
    sold_out.pass_time(61)  # a claim of the killed delivery has expired

    assert sold_out.receive(sold_out.stock_event(2, 6)) == []

    found = told(sold_out)
    assert sorted(set(found)) == ["anna", "bob"]
    assert len(found) <= 3  # the e-mail in whose middle the process was killed may be sent twice
    for user in ("anna", "bob"):
        (notice,) = [one for one in sold_out.listed(user)["items"] if one["kind"] == "back_in_stock"]
        assert notice["status"] == "sent"
    assert listed(sold_out, "cleo") == ["mug"]


@pytest.mark.parametrize("call", range(24))
def test_two_deliveries_at_once_share_the_lot(sold_out: Any, call: int) -> None:
    waits(sold_out, "anna", "bob", "cleo", "dora")
    interrupter = Interrupter()
    interrupter.at(call, lambda: sold_out.receive(sold_out.stock_event(2, 6)))

    sold_out.receive(sold_out.stock_event(2, 6))
    interrupter.act = None
    sold_out.pass_time(61)
    assert sold_out.receive(sold_out.stock_event(2, 6)) == []

    assert sorted(told(sold_out)) == ["anna", "bob"]
    assert [listed(sold_out, user) for user in ("anna", "cleo", "dora")] == [[], ["mug"], ["mug"]]


@pytest.mark.parametrize("call", range(5))
def test_a_restock_in_the_middle_of_asking_is_never_missed(sold_out: Any, call: int) -> None:
    """The wish is refused since the product is in stock, or it is told."""
    sold_out.register()
    interrupter = Interrupter()
    interrupter.at(call, lambda: sold_out.receive(sold_out.stock_event(4, 6)))

    status, body = sold_out.call("PUT", WISH)

    if interrupter.act is not None:
        interrupter.act = None
        sold_out.receive(sold_out.stock_event(4, 6))
    if status == 409:
        assert body["type"] == "urn:mercato:problem:in-stock"
        assert (told(sold_out), listed(sold_out)) == ([], [])
    else:
        assert (len(told(sold_out)), listed(sold_out)) == (1, [])


@pytest.mark.parametrize("call", range(14))
def test_a_wish_that_is_dropped_meanwhile_is_told_or_gone(sold_out: Any, call: int) -> None:
    waits(sold_out, "anna", "bob")
    interrupter = Interrupter()
    interrupter.at(call, lambda: sold_out.call("DELETE", WISH, user="anna"))

    assert sold_out.receive(sold_out.stock_event(1, 6)) == []

    interrupter.act = None
    assert len(told(sold_out)) == 1
    left = [user for user in ("anna", "bob") if listed(sold_out, user)]
    assert set(left).isdisjoint(told(sold_out))
    assert items_of(sold_out, "PRODUCT#mug").count("STOCK") == 1


def test_a_mail_that_cannot_be_sent_now_delays_no_other_and_comes_again(sold_out: Any) -> None:
    waits(sold_out, "anna", "bob")
    sold_out.mailer.failures.append(MailNotSent("Throttling"))
    event = sold_out.stock_event(2, 6)

    assert sold_out.receive(event) != []
    assert told(sold_out) == ["bob"]
    assert sold_out.receive(event) == []
    assert told(sold_out) == ["bob", "anna"]


def test_a_customer_without_e_mails_is_told_in_the_app(sold_out: Any) -> None:
    waits(sold_out, "anna")
    sold_out.call("PUT", "/api/notifications/preferences", user="anna", body={"email": False})
    assert sold_out.receive(sold_out.stock_event(1, 6)) == []
    assert told(sold_out) == []
    assert sold_out.listed("anna")["items"][0]["kind"] == "back_in_stock"


def test_a_discontinued_product_ends_its_wishes(sold_out: Any) -> None:
    waits(sold_out, "anna", "bob")
    ended = sold_out.event("product.discontinued", "ended-1", {"product_id": "mug"})

    assert sold_out.receive(ended) == []

    assert items_of(sold_out, "PRODUCT#mug") == ["STOCK"]
    assert [listed(sold_out, user) for user in ("anna", "bob")] == [[], []]
    assert sold_out.call("PUT", WISH, user="anna")[1]["type"] == "urn:mercato:problem:unknown-product"
    assert sold_out.receive(sold_out.stock_event(5, 6)) == []
    assert told(sold_out) == []


def test_a_closed_account_leaves_no_wish_behind(sold_out: Any) -> None:
    waits(sold_out, "anna", "bob")
    assert sold_out.receive(sold_out.event("user.closed", "closed-1", {"user_id": "anna"})) == []

    assert items_of(sold_out, "USER#anna") == ["UNREAD"]
    assert len(items_of(sold_out, "PRODUCT#mug")) == 2  # the stock, and Bob's wish
    assert sold_out.call("PUT", WISH, user="anna")[1]["type"] == "urn:mercato:problem:reader-gone"
    assert sold_out.receive(sold_out.stock_event(1, 6)) == []
    assert told(sold_out) == ["bob"]


@pytest.mark.parametrize("call", range(8))
def test_an_account_closed_in_the_middle_of_asking_leaves_no_wish(sold_out: Any, call: int) -> None:
    sold_out.register()
    interrupter = Interrupter()
    closed = sold_out.event("user.closed", "closed-1", {"user_id": "user-1"})
    interrupter.at(call, lambda: sold_out.receive(closed))
    sold_out.call("PUT", WISH)
    interrupter.act = None
    assert sold_out.receive(closed) == []
    assert items_of(sold_out, "USER#user-1") == ["UNREAD"]
    assert items_of(sold_out, "PRODUCT#mug") == ["STOCK"]


def test_a_run_without_time_goes_on_with_a_new_message(sold_out: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    waits(sold_out, "anna", "bob", "cleo")
    boto3.client("sqs", "us-east-1").create_queue(QueueName="shop-notifications")
    answers = iter([True, False])
    monkeypatch.setattr(consumers, "_has_time_for_mail", lambda: next(answers, False))
    assert sold_out.receive(sold_out.stock_event(3, 6)) == []
    assert told(sold_out) == ["anna"]
    monkeypatch.setattr(consumers, "_has_time_for_mail", lambda: True)
    assert sold_out.receive(sold_out.stock_event(3, 6)) == []
    assert told(sold_out) == ["anna", "bob", "cleo"]


def run_with_time_for(looks: int, service: Any, event: Any, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, str]]:
    """One run, which has time to look at so many customers."""
    left = iter([True] * looks)
    monkeypatch.setattr(consumers, "_has_time_for_mail", lambda: next(left, False))
    failed: list[dict[str, str]] = service.receive(event)
    return failed


def new_messages() -> int:
    sqs = boto3.client("sqs", "us-east-1")
    queue = sqs.get_queue_url(QueueName="shop-notifications")["QueueUrl"]
    found = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["ApproximateNumberOfMessages"])
    return int(found["Attributes"]["ApproximateNumberOfMessages"])


def test_short_runs_come_to_the_last_customer(sold_out: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run spends no time on those who were told before."""
    everyone = ["anna", "bob", "cleo", "dora", "emil", "fritz"]
    waits(sold_out, *everyone)
    boto3.client("sqs", "us-east-1").create_queue(QueueName="shop-notifications")
    event = sold_out.stock_event(6, 6)

    for _ in range(2 * len(everyone)):
        assert run_with_time_for(2, sold_out, event, monkeypatch) == []

    assert told(sold_out) == everyone
    assert [sk for sk in items_of(sold_out, "PRODUCT#mug") if sk.startswith("TOLD#")] == []


def test_a_run_that_only_fails_waits_before_it_comes_again(sold_out: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sent as a new message at once, it would come again and again without a pause and without an end."""
    waits(sold_out, "anna", "bob", "cleo")
    boto3.client("sqs", "us-east-1").create_queue(QueueName="shop-notifications")
    sold_out.mailer.failures += [MailNotSent("Sending is paused")] * 4
    event = sold_out.stock_event(3, 6)

    assert run_with_time_for(2, sold_out, event, monkeypatch) == []  # two wishes have become notifications
    assert new_messages() == 1
    assert run_with_time_for(1, sold_out, event, monkeypatch) != []
    assert new_messages() == 1
    assert run_with_time_for(5, sold_out, event, monkeypatch) != []  # one of the two was late once more
    assert run_with_time_for(5, sold_out, event, monkeypatch) == []
    assert sorted(told(sold_out)) == ["anna", "bob", "cleo"]


def test_a_customer_waits_for_a_hundred_products_at_most(service: Any) -> None:
    service.register()
    for number in range(MOST_WISHES):
        service.sells(f"p-{number}")
        assert service.call("PUT", f"/api/notifications/wishes/p-{number}")[0] == 200
    service.sells("mug")
    status, problem = service.call("PUT", WISH)
    assert (status, problem["type"]) == (409, "urn:mercato:problem:too-many-wishes")
    assert service.call("DELETE", "/api/notifications/wishes/p-3")[0] == 204
    assert service.call("PUT", WISH)[0] == 200
