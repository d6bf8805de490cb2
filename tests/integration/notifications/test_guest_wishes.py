"""A guest is told when a product is back, once the address is confirmed. Nothing else is sent to an address."""

from __future__ import annotations

import contextlib
from datetime import timedelta
from typing import Any

import boto3
import pytest

from mercato.aws.mail import MailNotSent, MailRefused, MailUncertain
from notifications.stops import Reason, Stop, Stops
from notifications.wishes.domain import GUESTS_WISH_LASTS, MOST_ASKED
from tests.integration.interrupter import Interrupter

WISHES = "/api/notifications/guest-wishes"


class Killed(BaseException):
    """The process ends here."""


@pytest.fixture
def sold_out(service: Any) -> Any:
    service.sells("mug")
    assert service.receive(service.stock_event(0, 5)) == []
    return service


def confirm(service: Any, token: str) -> tuple[int, Any]:
    found: tuple[int, Any] = service.call("POST", f"{WISHES}/{token}", user="", role="")
    return found


def waits(service: Any, *emails: str) -> None:
    """Lets guests ask for the mug one second after the other, and clears the mails that asked to confirm."""
    for email in emails:
        assert confirm(service, service.asked_by(email))[0] == 200
        service.pass_time(1)
    service.mailer.sent.clear()
    service.mailer.links.clear()


def told(service: Any) -> list[str]:
    return [to.partition("@")[0] for to, subject, _ in service.mailer.sent if "is back in stock" in subject]


def deliver(service: Any, wish_id: str) -> list[str]:
    found: list[str] = service.receive(service.event("wish.asked", f"asked-{wish_id}", {"wish_id": wish_id}))
    return found


def items_with(service: Any, text: str) -> list[dict[str, Any]]:
    items = boto3.client("dynamodb", "us-east-1").scan(TableName=service.table.name)["Items"]
    return [item for item in items if text in str(item)]


def test_a_guest_confirms_and_is_told_once(sold_out: Any) -> None:
    token = sold_out.asked_by("Ada@Example.com", language="de")
    ((to, subject, body),) = sold_out.mailer.sent
    assert (to, subject) == ("ada@example.com", "Sollen wir Ihnen sagen, wann A mug wieder da ist?")
    assert sold_out.mailer.links == [""]

    assert confirm(sold_out, token) == (200, {"product_id": "mug", "name": "A mug"})
    sold_out.mailer.sent.clear()
    for _ in range(2):
        assert sold_out.receive(sold_out.stock_event(3, 6)) == []
    assert sold_out.receive(sold_out.stock_event(0, 7), sold_out.stock_event(9, 8)) == []

    ((to, subject, body),) = sold_out.mailer.sent
    assert (to, subject) == ("ada@example.com", "Wieder vorrätig: A mug")
    assert "https://shop.example/p/mug" in body


def test_an_address_that_is_not_confirmed_gets_nothing_else(sold_out: Any) -> None:
    sold_out.asked_by("ada@example.com")
    sold_out.mailer.sent.clear()
    assert sold_out.receive(sold_out.stock_event(3, 6)) == []
    assert sold_out.mailer.sent == []


def test_guests_and_customers_share_a_lot_by_their_age(sold_out: Any) -> None:
    waits(sold_out, "ada@example.com")
    sold_out.register("bob", "bob@example.com", "Bob")
    assert sold_out.call("PUT", "/api/notifications/wishes/mug", user="bob")[0] == 200
    sold_out.pass_time(1)
    waits(sold_out, "cleo@example.com")

    assert sold_out.receive(sold_out.stock_event(2, 6)) == []

    assert told(sold_out) == ["ada", "bob"]


def test_a_link_can_be_opened_twice_and_also_once_the_wish_was_told(sold_out: Any) -> None:
    token = sold_out.asked_by("ada@example.com")
    assert [confirm(sold_out, token)[0] for _ in range(2)] == [200, 200]
    assert sold_out.receive(sold_out.stock_event(1, 6), sold_out.stock_event(0, 7)) == []
    assert confirm(sold_out, token)[0] == 200
    assert sold_out.receive(sold_out.stock_event(1, 8)) == []
    assert told(sold_out) == ["ada"]


def test_an_address_waits_for_a_product_once(sold_out: Any) -> None:
    waits(sold_out, "ada@example.com", "ada@example.com", "bob@example.com")
    assert sold_out.receive(sold_out.stock_event(2, 6)) == []
    assert told(sold_out) == ["ada", "bob"]


def test_the_answer_is_the_same_whatever_is_known_of_the_address(sold_out: Any) -> None:
    """`ask` compares the whole answer. The address with a stop is sent nothing."""
    sold_out.register("bob", "bob@example.com", "Bob")
    waits(sold_out, "ada@example.com")
    Stops(sold_out.table).stop(Stop("cleo@example.com", Reason.COMPLAINT, "abuse", sold_out.now))
    for email in ("ada@example.com", "bob@example.com", "cleo@example.com"):
        assert deliver(sold_out, sold_out.ask(email)) == []
    assert [to for to, _, _ in sold_out.mailer.sent] == ["ada@example.com", "bob@example.com"]


def test_an_address_is_asked_to_confirm_a_few_times_a_day(sold_out: Any) -> None:
    asked = [sold_out.ask("ada@example.com") for _ in range(MOST_ASKED + 2)]
    assert [bool(one) for one in asked] == [True] * MOST_ASKED + [False] * 2
    assert sold_out.ask("bob@example.com")
    sold_out.pass_time(24 * 3600)
    assert sold_out.ask("ada@example.com")


def test_an_address_that_bounced_since_is_told_nothing(sold_out: Any) -> None:
    waits(sold_out, "ada@example.com")
    Stops(sold_out.table).stop(Stop("ada@example.com", Reason.BOUNCE, "NoEmail", sold_out.now))
    assert sold_out.receive(sold_out.stock_event(3, 6)) == []
    assert sold_out.mailer.sent == []


def test_one_click_in_the_mail_ends_it_and_forgets_the_address(sold_out: Any) -> None:
    waits(sold_out, "ada@example.com")
    sold_out.mailer.failures.append(MailNotSent("Throttling"))
    event = sold_out.stock_event(3, 6)
    assert sold_out.receive(event) != []
    reader = next(item["user_id"]["S"] for item in items_with(sold_out, "TOLD#"))
    token = sold_out.link(reader, "back_in_stock").rpartition("/")[2]

    for _ in range(2):
        answer = sold_out.call("POST", f"/api/notifications/unsubscriptions/{token}", user="", role="")
        assert answer == (200, {"kind": "back_in_stock"})

    assert sold_out.receive(event) == []
    assert sold_out.mailer.sent == []
    assert items_with(sold_out, "ada@example.com") == []


def test_the_mail_has_the_link_of_one_click(sold_out: Any) -> None:
    waits(sold_out, "ada@example.com")
    assert sold_out.receive(sold_out.stock_event(3, 6)) == []
    (link,) = sold_out.mailer.links
    assert link.startswith("https://shop.example/unsubscribe/")
    assert sold_out.call("POST", f"/api/notifications/unsubscriptions/{link.rpartition('/')[2]}", user="")[0] == 200
    assert items_with(sold_out, "ada@example.com") == []


@pytest.mark.parametrize("confirmed", [False, True])
def test_a_guest_declines_and_is_forgotten(sold_out: Any, confirmed: bool) -> None:
    token = sold_out.asked_by("ada@example.com")
    if confirmed:
        assert confirm(sold_out, token)[0] == 200
    assert [sold_out.call("DELETE", f"{WISHES}/{token}", user="", role="")[0] for _ in range(2)] == [204, 204]
    assert items_with(sold_out, "ada@example.com") == []
    assert confirm(sold_out, token)[1]["type"] == "urn:mercato:problem:unknown-link"
    sold_out.mailer.sent.clear()
    assert sold_out.receive(sold_out.stock_event(3, 6)) == []
    assert sold_out.mailer.sent == []


def test_what_came_back_before_the_guest_confirmed_is_no_wish(sold_out: Any) -> None:
    token = sold_out.asked_by("ada@example.com")
    assert sold_out.receive(sold_out.stock_event(3, 6)) == []
    status, problem = confirm(sold_out, token)
    assert (status, problem["type"], problem["product_id"]) == (409, "urn:mercato:problem:in-stock", "mug")
    assert sold_out.receive(sold_out.stock_event(0, 7)) == []
    assert confirm(sold_out, token)[0] == 200


def test_a_link_and_a_wish_expire(sold_out: Any) -> None:
    late, good = sold_out.asked_by("ada@example.com"), sold_out.asked_by("bob@example.com")
    assert confirm(sold_out, good)[0] == 200
    sold_out.now += timedelta(days=2, seconds=1)
    assert confirm(sold_out, late)[1]["type"] == "urn:mercato:problem:unknown-link"
    sold_out.now += GUESTS_WISH_LASTS
    sold_out.mailer.sent.clear()
    assert sold_out.receive(sold_out.stock_event(3, 6)) == []
    assert sold_out.mailer.sent == []


@pytest.mark.parametrize("link", ["unsubscribe", "order", "other"])
def test_a_link_for_something_else_confirms_nothing(sold_out: Any, link: str) -> None:
    token = sold_out.asked_by("ada@example.com")
    made = {
        "unsubscribe": sold_out.link("wish:1", "back_in_stock"),
        "order": sold_out.confirming.make("guest:order-1"),
        "other": f"x/{token[:-2]}{'A' if token[-2] != 'A' else 'B'}{token[-1]}",  # two bits of the last mean nothing
    }
    assert confirm(sold_out, made[link].rpartition("/")[2])[1]["type"] == "urn:mercato:problem:unknown-link"


def test_a_discontinued_product_ends_guests_wishes(sold_out: Any) -> None:
    waits(sold_out, "ada@example.com")
    assert sold_out.receive(sold_out.event("product.discontinued", "ended-1", {"product_id": "mug"})) == []
    assert sold_out.receive(sold_out.stock_event(3, 6)) == []
    assert sold_out.mailer.sent == []


@pytest.mark.parametrize("call", range(4))
def test_the_mail_to_confirm_is_sent_once_whatever_dies_or_repeats(sold_out: Any, call: int) -> None:
    wish_id = sold_out.ask("ada@example.com")
    interrupter = Interrupter()

    def kill() -> None:
        raise Killed

    interrupter.at(call, kill)
    with contextlib.suppress(Killed):
        deliver(sold_out, wish_id)
    interrupter.act = None
    for _ in range(2):
        assert deliver(sold_out, wish_id) == []
    assert len(sold_out.mailer.sent) <= 1


@pytest.mark.parametrize("call", range(6))
def test_two_deliveries_at_once_send_one_mail_to_confirm(sold_out: Any, call: int) -> None:
    wish_id = sold_out.ask("ada@example.com")
    interrupter = Interrupter()
    interrupter.at(call, lambda: deliver(sold_out, wish_id))
    deliver(sold_out, wish_id)
    interrupter.act = None
    deliver(sold_out, wish_id)
    assert len(sold_out.mailer.sent) == 1


@pytest.mark.parametrize(
    ("failure", "again", "mails"),
    [(MailNotSent("Throttling"), True, 1), (MailRefused("no"), False, 0), (MailUncertain("no answer"), False, 0)],
)
def test_a_mail_to_confirm_that_fails_is_sent_again_only_if_it_was_not_sent(
    sold_out: Any, failure: BaseException, again: bool, mails: int
) -> None:
    wish_id = sold_out.ask("ada@example.com")
    sold_out.mailer.failures.append(failure)
    assert bool(deliver(sold_out, wish_id)) is again
    assert deliver(sold_out, wish_id) == []
    assert len(sold_out.mailer.sent) == mails


@pytest.mark.parametrize("call", range(10))
def test_a_restock_in_the_middle_of_confirming_is_never_missed(sold_out: Any, call: int) -> None:
    token = sold_out.asked_by("ada@example.com")
    sold_out.mailer.sent.clear()
    interrupter = Interrupter()
    interrupter.at(call, lambda: sold_out.receive(sold_out.stock_event(4, 6)))

    status, _ = confirm(sold_out, token)

    if interrupter.act is not None:
        interrupter.act = None
        sold_out.receive(sold_out.stock_event(4, 6))
    assert (status, len(told(sold_out))) in [(409, 0), (200, 1)]


@pytest.mark.parametrize("call", range(16))
def test_a_guest_who_declines_in_the_middle_of_a_delivery_is_told_or_forgotten(sold_out: Any, call: int) -> None:
    token = sold_out.asked_by("ada@example.com")
    assert confirm(sold_out, token)[0] == 200
    sold_out.mailer.sent.clear()
    interrupter = Interrupter()
    interrupter.at(call, lambda: sold_out.call("DELETE", f"{WISHES}/{token}", user="", role=""))

    sold_out.receive(sold_out.stock_event(1, 6))

    interrupter.act = None
    assert sold_out.receive(sold_out.stock_event(1, 6)) == []
    assert len(told(sold_out)) <= 1
    assert sold_out.call("DELETE", f"{WISHES}/{token}", user="", role="")[0] == 204
    assert items_with(sold_out, "ada@example.com") == []


def test_no_event_names_the_address(sold_out: Any) -> None:
    waits(sold_out, "ada@example.com")
    assert sold_out.receive(sold_out.stock_event(3, 6)) == []
    assert "wish.asked" in {one["type"] for one in sold_out.announced()}
    assert "ada" not in str(sold_out.announced())
