"""A guest who ticked the box is reminded of a cart once, and not after an order, a change or an end."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import boto3
import pytest
from botocore.exceptions import EndpointConnectionError

from mercato import aws
from mercato.aws.mail import MailNotSent, MailRefused, MailUncertain
from mercato.clock import rfc3339
from mercato.guests import guest_of
from mercato.peers.client import PeerUnavailable
from mercato.store import dynamo
from notifications import wiring
from notifications.guest_carts import CONSENT_LASTS, TOLD_LASTS
from notifications.stops import Reason, Stop, Stops
from notifications.wishes.domain import MOST_ASKED
from tests.integration.interrupter import Interrupter
from tests.integration.notifications.conftest import Service

CART = f"guest-{'5e' * 24}"
GUEST = guest_of(CART)
ADDRESS = "gita@example.com"
REMINDER = f"/api/notifications/guests/{CART}/reminder"
SUBJECT = "There is something in your cart"
VERSION = 7
Deed = Callable[[Service], object]


class Killed(BaseException):
    """The process ends here."""


def kill(*_: object) -> None:
    raise Killed


def goods(**quantities: int) -> list[dict[str, Any]]:
    return [{"product_id": one, "name": f"A {one}", "quantity": quantity} for one, quantity in quantities.items()]


def ask(service: Service, email: str = ADDRESS, cart_id: str = CART, **more: str) -> int:
    path = f"/api/notifications/guests/{cart_id}/reminder"
    status, _ = service.call("PUT", path, user="", role="", body={"email": email} | more)
    return status


def left(service: Service, version: int = VERSION, guest_id: str = GUEST) -> dict[str, Any]:
    """The event of a cart that has not changed for two days."""
    data = {"cart_id": guest_id, "customer_id": guest_id}
    return service.event("cart.abandoned", f"left-{guest_id}-{version}", data, sequence=version)


def reminders(service: Service) -> list[tuple[str, str]]:
    return [(to, body) for to, subject, body in service.mailer.sent if subject == SUBJECT]


def stored() -> str:
    return str(boto3.client("dynamodb", "us-east-1").scan(TableName="NotificationsTable")["Items"])


def way_back(service: Service) -> str:
    """The path in the API of what the link of the last mail leads to."""
    token = reminders(service)[-1][1].partition("https://shop.example/cart/back/")[2].partition("\n")[0]
    return f"/api/notifications/guest-reminders/{token}"


def orders_from_the_cart(service: Service) -> None:
    service.shoppers.orders[GUEST] = [{"placed_at": rfc3339(service.now)}]


def orders_with_the_address(service: Service) -> None:
    service.shoppers.ordered_with[ADDRESS] = service.now


def changes(service: Service) -> None:
    service.shoppers.carts[GUEST] = {"version": VERSION + 1, "lines": goods(mug=1)}


def empties(service: Service) -> None:
    service.shoppers.carts[GUEST] = {"version": VERSION, "lines": []}


def unticks(service: Service) -> None:
    assert service.call("DELETE", REMINDER, user="", role="")[0] == 204


def ends_by_click(service: Service) -> None:
    token = service.link(f"cart:{GUEST}", "abandoned_cart").rpartition("/")[2]
    answer = service.call("POST", f"/api/notifications/unsubscriptions/{token}", user="", role="")
    assert answer == (200, {"kind": "abandoned_cart"})


def bounces(service: Service) -> None:
    Stops(service.table).stop(Stop(ADDRESS, Reason.BOUNCE, "NoEmail", service.now))


DEEDS: list[Deed] = [
    orders_from_the_cart,
    orders_with_the_address,
    changes,
    empties,
    unticks,
    ends_by_click,
    bounces,
]


@pytest.fixture
def guest(service: Service) -> Service:
    """A guest with a cart, who has ticked the box two days ago."""
    service.shoppers.carts[GUEST] = {"version": VERSION, "lines": goods(mug=2, lamp=1)}
    assert ask(service) == 204
    service.pass_time(2 * 86400)
    return service


def test_a_guest_who_ticked_the_box_is_reminded_once(guest: Service) -> None:
    assert guest.shoppers.watched == {CART}
    assert guest.receive(left(guest)) == guest.receive(left(guest)) == []

    [(to, body)] = reminders(guest)
    assert to == ADDRESS
    assert "  A mug\n  A lamp\n\nhttps://shop.example/cart/back/" in body
    assert guest.mailer.links[-1].startswith("https://shop.example/unsubscribe/")
    assert CART not in body
    assert CART not in stored(), "the secret id of the cart is stored"


def test_without_the_tick_nobody_is_written_to(service: Service) -> None:
    service.shoppers.carts[GUEST] = {"version": VERSION, "lines": goods(mug=2)}
    assert service.receive(left(service)) == []
    assert service.mailer.sent == []


def test_the_mail_is_in_the_guest_s_language(guest: Service) -> None:
    assert ask(guest, language="de") == 204
    assert guest.receive(left(guest)) == []
    ((_, subject, body),) = guest.mailer.sent
    assert subject != SUBJECT
    assert "https://shop.example/cart/back/" in body


def test_a_later_version_of_the_cart_is_worth_no_second_mail(guest: Service) -> None:
    assert guest.receive(left(guest)) == []
    changes(guest)
    guest.pass_time(3 * 86400)
    assert ask(guest) == ask(guest, "other@example.com") == 204

    assert guest.receive(left(guest, VERSION + 1)) == guest.receive(left(guest)) == []

    assert len(reminders(guest)) == 1


def test_a_change_before_the_mail_moves_it_to_the_next_version(guest: Service) -> None:
    changes(guest)
    assert guest.receive(left(guest)) == []
    assert guest.receive(left(guest, VERSION + 1)) == []
    assert len(reminders(guest)) == 1


def test_an_order_from_before_the_cart_was_left_does_not_count(guest: Service) -> None:
    guest.shoppers.ordered_with[ADDRESS] = guest.now - timedelta(days=3)
    guest.shoppers.orders[GUEST] = [{"placed_at": rfc3339(guest.now - timedelta(days=3))}]
    assert guest.receive(left(guest)) == []
    assert len(reminders(guest)) == 1


@pytest.mark.parametrize("deed", DEEDS)
def test_no_mail_after_a_deed(guest: Service, deed: Deed) -> None:
    deed(guest)
    assert guest.receive(left(guest)) == guest.receive(left(guest)) == []
    assert guest.mailer.sent == []


@pytest.mark.parametrize("asked", ["/api/carts/mine", "/api/orders?limit=1", "/api/orders/lookup"])
@pytest.mark.parametrize("deed", [ends_by_click, bounces])
def test_no_mail_after_an_end_while_the_peers_are_asked(guest: Service, deed: Deed, asked: str) -> None:
    guest.shoppers.ask = lambda path: deed(guest) if path == asked else None
    assert guest.receive(left(guest)) == []
    assert guest.mailer.sent == []


@pytest.mark.parametrize("call", range(12))
def test_who_ends_it_in_the_middle_of_a_delivery_gets_one_or_none_and_no_other(guest: Service, call: int) -> None:
    interrupter, sent = Interrupter(), list[int]()

    def end() -> None:
        sent.append(len(guest.mailer.sent))
        ends_by_click(guest)

    interrupter.at(call, end)
    guest.receive(left(guest))
    interrupter.act = None
    assert guest.receive(left(guest)) == guest.receive(left(guest, VERSION + 1)) == []
    assert len(guest.mailer.sent) <= 1
    ends_by_click(guest)
    assert ADDRESS not in stored()


@pytest.mark.parametrize("deed", DEEDS)
def test_all_is_asked_again_before_a_mail_that_waited(guest: Service, deed: Deed) -> None:
    guest.mailer.failures = [MailNotSent("SES is busy")]
    assert guest.receive(left(guest)) != []
    deed(guest)
    assert guest.receive(left(guest)) == guest.receive(left(guest)) == []
    assert guest.mailer.sent == []
    assert not [one for one in guest.announced() if one["type"] == "notification.sent" and one["channel"] == "email"]


def test_a_mail_that_waited_while_the_cart_changed_is_not_sent_with_what_was_in_it(guest: Service) -> None:
    guest.mailer.failures = [MailNotSent("SES is busy")]
    assert guest.receive(left(guest)) != []
    changes(guest)
    assert guest.receive(left(guest, VERSION + 1)) == []
    assert guest.mailer.sent == []


@pytest.mark.parametrize("asked", ["/api/carts/mine", "/api/orders?limit=1", "/api/orders/lookup"])
def test_without_an_answer_the_mail_waits(guest: Service, asked: str) -> None:
    def fail(path: str) -> None:
        if path == asked:
            raise PeerUnavailable("no answer")

    guest.shoppers.ask = fail
    assert guest.receive(left(guest)) != []
    assert guest.mailer.sent == []

    guest.shoppers.ask = lambda _: None
    assert guest.receive(left(guest)) == []
    assert len(reminders(guest)) == 1


@pytest.mark.parametrize("call", range(14))
def test_wherever_a_delivery_dies_there_is_one_mail_at_most(guest: Service, call: int) -> None:
    interrupter, event = Interrupter(), left(guest)
    interrupter.at(call, kill)
    with contextlib.suppress(Killed):
        guest.receive(event)
    interrupter.act = None
    guest.pass_time(61)
    for _ in range(2):
        guest.receive(event)
    assert len(reminders(guest)) <= 1


@pytest.mark.parametrize("call", range(14))
def test_two_deliveries_at_once_send_one_mail(guest: Service, call: int) -> None:
    interrupter, event = Interrupter(), left(guest)
    interrupter.at(call, lambda: guest.receive(event))
    guest.receive(event)
    interrupter.act = None
    guest.receive(event)
    assert len(reminders(guest)) == 1


@pytest.mark.parametrize("failure", [Killed(), MailUncertain("no answer"), MailRefused("no")])
def test_a_mail_that_may_have_been_sent_is_not_sent_again(guest: Service, failure: BaseException) -> None:
    guest.mailer.failures, guest.mailer.and_sends = [failure], True
    event = left(guest)
    with contextlib.suppress(Killed):
        guest.receive(event)
    guest.pass_time(61)
    for _ in range(2):
        guest.receive(event)
    assert len(reminders(guest)) == 1


def test_the_link_leads_to_what_was_in_the_cart_until_it_is_put_back(guest: Service) -> None:
    assert guest.receive(left(guest)) == []
    path = way_back(guest)
    for _ in range(2):
        assert guest.call("GET", path, user="", role="") == (200, {"items": goods(mug=2, lamp=1)})

    assert [guest.call("DELETE", path, user="", role="")[0] for _ in range(2)] == [204, 204]

    assert guest.call("GET", path, user="", role="")[1]["type"] == "urn:mercato:problem:nothing-left"
    assert ADDRESS not in stored()
    assert ask(guest) == 204
    assert guest.receive(left(guest, VERSION + 1)) == []
    assert len(reminders(guest)) == 1


def test_a_link_and_a_consent_expire(guest: Service) -> None:
    assert guest.receive(left(guest)) == []
    path = way_back(guest)
    guest.now += TOLD_LASTS + timedelta(seconds=1)
    assert guest.call("GET", path, user="", role="")[0] == 404

    other = f"guest-{'6f' * 24}"
    guest.shoppers.carts[guest_of(other)] = {"version": 1, "lines": goods(mug=1)}
    assert ask(guest, "late@example.com", other) == 204
    guest.now += CONSENT_LASTS + timedelta(seconds=1)
    assert guest.receive(left(guest, 1, guest_of(other))) == []
    assert len(reminders(guest)) == 1


@pytest.mark.parametrize("link", ["unsubscribe", "wish", "other"])
def test_a_link_for_something_else_leads_to_no_cart(guest: Service, link: str) -> None:
    assert guest.receive(left(guest)) == []
    token = way_back(guest).rpartition("/")[2]
    made = {
        "unsubscribe": guest.link(f"cart:{GUEST}", "abandoned_cart"),
        "wish": guest.confirming.make(f"cart:{GUEST}"),
        "other": f"x/{token[:-1]}{'A' if token[-1] != 'A' else 'B'}",
    }
    path = f"/api/notifications/guest-reminders/{made[link].rpartition('/')[2]}"
    assert guest.call("GET", path, user="", role="")[1]["type"] == "urn:mercato:problem:unknown-link"
    assert guest.call("DELETE", path, user="", role="")[1]["type"] == "urn:mercato:problem:unknown-link"


def test_another_address_takes_the_place_of_the_first(guest: Service) -> None:
    assert ask(guest, "gina@example.com") == 204
    assert guest.receive(left(guest)) == []
    assert [to for to, _ in reminders(guest)] == ["gina@example.com"]
    assert ADDRESS not in stored()


def test_who_has_ended_it_by_a_click_is_reminded_of_no_other_cart(guest: Service) -> None:
    ends_by_click(guest)
    ends_by_click(guest)
    other = f"guest-{'6f' * 24}"
    guest.shoppers.carts[guest_of(other)] = {"version": 1, "lines": goods(mug=1)}
    assert ask(guest, ADDRESS, other) == 204
    assert ADDRESS not in stored()
    assert guest.receive(left(guest, 1, guest_of(other))) == []
    assert guest.mailer.sent == []


@pytest.mark.parametrize("before", ["put back", "taken back", "a month"])
def test_a_click_refuses_other_carts_also_once_the_address_is_forgotten(guest: Service, before: str) -> None:
    assert guest.receive(left(guest)) == []
    if before == "put back":
        assert guest.call("DELETE", way_back(guest), user="", role="")[0] == 204
    elif before == "taken back":
        unticks(guest)
    else:
        guest.now += CONSENT_LASTS + timedelta(seconds=1)
        guest.table.write(dynamo.delete(f"USER#cart:{GUEST}", "CONTACT"))  # as DynamoDB does once it has expired
    assert ADDRESS not in stored()

    ends_by_click(guest)

    other = f"guest-{'6f' * 24}"
    guest.shoppers.carts[guest_of(other)] = {"version": 1, "lines": goods(mug=1)}
    assert ask(guest, ADDRESS, other) == 204
    assert ADDRESS not in stored()


@pytest.mark.parametrize("call", range(6))
def test_putting_back_that_dies_can_be_made_again(guest: Service, call: int) -> None:
    assert guest.receive(left(guest)) == []
    path, interrupter = way_back(guest), Interrupter()
    interrupter.at(call, kill)
    with contextlib.suppress(Killed):
        guest.call("DELETE", path, user="", role="")
    interrupter.act = None
    assert guest.call("DELETE", path, user="", role="")[0] == 204
    assert guest.call("GET", path, user="", role="")[0] == 404
    assert ADDRESS not in stored()


@pytest.mark.parametrize("call", range(6))
def test_a_click_that_dies_can_be_made_again(guest: Service, call: int) -> None:
    assert guest.receive(left(guest)) == []
    interrupter = Interrupter()
    interrupter.at(call, kill)
    with contextlib.suppress(Killed):
        ends_by_click(guest)
    interrupter.act = None
    ends_by_click(guest)
    assert ADDRESS not in stored()
    other = f"guest-{'6f' * 24}"
    guest.shoppers.carts[guest_of(other)] = {"version": 1, "lines": goods(mug=1)}
    assert ask(guest, ADDRESS, other) == 204
    assert ADDRESS not in stored()


def test_an_address_is_written_to_for_a_few_carts_a_day(service: Service) -> None:
    carts = [f"guest-{number:048d}" for number in range(MOST_ASKED + 2)]
    for cart_id in carts:
        service.shoppers.carts[guest_of(cart_id)] = {"version": 1, "lines": goods(mug=1)}
        assert [ask(service, ADDRESS, cart_id) for _ in range(2)] == [204, 204]
    service.pass_time(2 * 86400)
    for cart_id in carts:
        assert service.receive(left(service, 1, guest_of(cart_id))) == []
    assert len(reminders(service)) == MOST_ASKED


def test_wishes_and_reminders_share_the_mails_of_a_day(guest: Service) -> None:
    guest.sells("mug")
    for number in range(MOST_ASKED):
        assert guest.ask("eve@example.com") or number
    other = f"guest-{'6f' * 24}"
    guest.shoppers.carts[guest_of(other)] = {"version": 1, "lines": goods(mug=1)}
    assert ask(guest, "eve@example.com", other) == 204
    assert guest.receive(left(guest)) == []
    assert guest.receive(left(guest, 1, guest_of(other))) == []
    assert [to for to, _ in reminders(guest)] == [ADDRESS]


def test_an_address_that_was_corrected_gets_no_mail_also_where_the_other_one_was_asked_for_too_often(
    guest: Service,
) -> None:
    """The first one was mistyped, and is a stranger's. The shopper sees no difference, and gets no reminder."""
    guest.sells("mug")
    for number in range(MOST_ASKED):
        assert guest.ask("eve@example.com") or number
    assert ask(guest, "eve@example.com") == 204
    assert guest.receive(left(guest)) == []
    assert reminders(guest) == []
    assert ADDRESS not in stored()


def test_a_cart_that_does_not_exist_cannot_be_reminded_of(service: Service) -> None:
    status, found = service.call("PUT", REMINDER, user="", role="", body={"email": ADDRESS})
    assert (status, found["type"]) == (404, "urn:mercato:problem:cart-not-found")
    assert ADDRESS not in stored()


def test_a_shop_may_send_none(guest: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    none = wiring.MailSettings("shop@mercato.example", "", cart_reminder_days=0)
    monkeypatch.setitem(vars(wiring.ports()), "mail_settings", none)
    assert guest.receive(left(guest)) == []
    assert guest.mailer.sent == []
    assert ADDRESS not in stored(), "an address is kept that the shop never writes to"


def test_no_event_names_the_address(guest: Service) -> None:
    assert guest.receive(left(guest)) == []
    assert "gita" not in str(guest.announced())


OTHER_CART = f"guest-{'07' * 24}"
OTHER_GUEST = guest_of(OTHER_CART)


@pytest.fixture
def of_two_carts(guest: Service) -> Service:
    """The same address asked for a reminder of another cart, too."""
    guest.shoppers.carts[OTHER_GUEST] = {"version": VERSION, "lines": goods(kettle=1)}
    assert ask(guest, cart_id=OTHER_CART) == 204
    return guest


def test_the_end_of_reminders_holds_for_the_other_carts_of_the_address(of_two_carts: Service) -> None:
    service = of_two_carts
    assert service.receive(left(service)) == []
    ends_by_click(service)
    assert service.receive(left(service, guest_id=OTHER_GUEST)) == []
    assert len(reminders(service)) == 1


@pytest.mark.parametrize("call", range(14))
def test_the_end_of_reminders_at_any_call_of_another_cart_s_reminder_lets_at_most_that_mail_pass(
    of_two_carts: Service, call: int
) -> None:
    """A mail that is claimed already may leave. One that SES did not take then, does not leave afterwards."""
    service = of_two_carts
    assert service.receive(left(service)) == []
    service.mailer.failures = [MailNotSent("SES is busy")]
    interrupter = Interrupter()
    interrupter.at(call, lambda: ends_by_click(service))
    service.receive(left(service, guest_id=OTHER_GUEST))
    if interrupter.act:
        interrupter.act = None
        ends_by_click(service)
    service.mailer.failures = []
    service.pass_time(120)
    assert service.receive(left(service, guest_id=OTHER_GUEST)) == []
    assert len(reminders(service)) == 1


@pytest.mark.parametrize("link", range(2), ids=["unsubscription", "way back"])
def test_a_mail_whose_link_cannot_be_signed_now_is_sent_later(guest: Service, link: int) -> None:
    """Secrets Manager throttles. Nothing was sent, so the mail is not given up."""
    asked: list[str] = []

    def throttle(**_: object) -> None:
        asked.append("GetSecretValue")
        if len(asked) == link + 1:
            raise EndpointConnectionError(endpoint_url="https://secretsmanager.example")

    events = aws.client("secretsmanager").meta.events
    events.register("before-call.secretsmanager.GetSecretValue", throttle)
    event = left(guest)
    assert guest.receive(event) != []
    assert guest.mailer.sent == []
    guest.pass_time(61)
    assert guest.receive(event) == guest.receive(event) == []
    assert len(reminders(guest)) == 1


def test_a_shop_that_reminds_after_its_longest_time_still_knows_the_address(guest: Service) -> None:
    """CartReminderDays is 30 at most, and the mail may wait in the queue for two weeks."""
    guest.pass_time(28 * 86400 + 3600)
    guest.mailer.failures = [MailNotSent("SES is busy")]
    assert guest.receive(left(guest)) != []
    guest.pass_time(14 * 86400)
    assert guest.receive(left(guest)) == []
    assert len(reminders(guest)) == 1
    found = boto3.client("dynamodb", "us-east-1").query(
        TableName="NotificationsTable",
        KeyConditionExpression="pk = :pk AND begins_with(sk, :sk)",
        ExpressionAttributeValues={":pk": {"S": f"USER#cart:{GUEST}"}, ":sk": {"S": "N#"}},
    )["Items"]
    assert [int(one["ttl"]["N"]) > guest.now.timestamp() for one in found] == [True]


def test_a_reader_of_one_cart_who_ended_the_mails_leaves_nothing_for_good(guest: Service) -> None:
    assert guest.receive(left(guest)) == []
    ends_by_click(guest)
    items = boto3.client("dynamodb", "us-east-1").scan(TableName="NotificationsTable")["Items"]
    kept = [one["sk"]["S"] for one in items if one["pk"]["S"] == f"USER#cart:{GUEST}" and "ttl" not in one]
    assert kept == []


def test_an_address_that_was_corrected_gets_no_mail_also_where_the_other_one_wants_none(of_two_carts: Service) -> None:
    """The first one was mistyped, and is a stranger's."""
    service = of_two_carts
    assert service.receive(left(service)) == []
    ends_by_click(service)
    service.mailer.sent.clear()
    third = f"guest-{'03' * 24}"
    service.shoppers.carts[guest_of(third)] = {"version": VERSION, "lines": goods(mug=1)}
    assert ask(service, "gina@example.com", cart_id=third) == 204

    assert ask(service, cart_id=third) == 204

    service.pass_time(2 * 86400)
    assert service.receive(left(service, guest_id=guest_of(third))) == []
    assert reminders(service) == []
