"""A cart that was left is worth one mail, and none to a customer who bought, changed it, opted out or left since."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from mercato.aws.mail import MailNotSent
from mercato.clock import rfc3339
from mercato.peers.client import PeerRefused, PeerUnavailable
from notifications import wiring
from tests.integration.notifications.conftest import Service

SUBJECT = "There is something in your cart"
VERSION = 7
Deed = Callable[[Service], object]


def left(service: Service, version: int = VERSION) -> dict[str, Any]:
    """The event of a cart that has not changed for two days."""
    data = {"cart_id": "cart-1", "customer_id": "user-1"}
    return service.event("cart.abandoned", f"left-{version}", data, sequence=version)


def reminders(service: Service) -> list[str]:
    return [body for _, subject, body in service.mailer.sent if subject == SUBJECT]


def orders(service: Service, **ago: float) -> None:
    service.shoppers.orders["user-1"] = [{"placed_at": rfc3339(service.now - timedelta(**ago))}]


def changes(service: Service) -> None:
    service.shoppers.carts["user-1"] = {"version": VERSION + 1, "lines": [{"name": "A mug"}]}


def empties(service: Service) -> None:
    service.shoppers.carts["user-1"] = {"version": VERSION, "lines": []}


def opts_out(service: Service) -> None:
    body = {"email": True, "kinds": [{"kind": "abandoned_cart", "email": False}]}
    assert service.call("PUT", "/api/notifications/preferences", body=body)[0] == 200


def wants_no_mails(service: Service) -> None:
    assert service.call("PUT", "/api/notifications/preferences", body={"email": False})[0] == 200


def leaves(service: Service) -> None:
    service.store.close_account("user-1", service.now)


DEEDS: list[Deed] = [orders, changes, empties, opts_out, wants_no_mails, leaves]


@pytest.fixture
def shopper(service: Service) -> Service:
    service.register()
    service.shoppers.carts["user-1"] = {"version": VERSION, "lines": [{"name": "A mug"}, {"name": "A\nlamp"}]}
    return service


def test_a_left_cart_is_worth_one_mail(shopper: Service) -> None:
    assert shopper.receive(left(shopper)) == shopper.receive(left(shopper)) == []

    [body] = reminders(shopper)
    assert "  A mug\n  A lamp\n\nhttps://shop.example/cart" in body
    assert shopper.mailer.links[-1].startswith("https://shop.example/unsubscribe/")


def test_each_version_of_the_cart_is_worth_one(shopper: Service) -> None:
    shopper.receive(left(shopper))
    changes(shopper)
    shopper.pass_time(3 * 86400)

    assert shopper.receive(left(shopper, VERSION + 1)) == shopper.receive(left(shopper)) == []

    assert len(reminders(shopper)) == 2


def test_an_order_before_the_cart_was_left_does_not_count(shopper: Service) -> None:
    orders(shopper, days=2, seconds=1)
    assert shopper.receive(left(shopper)) == []
    assert len(reminders(shopper)) == 1


@pytest.mark.parametrize("deed", DEEDS)
def test_no_mail_after_a_deed(shopper: Service, deed: Deed) -> None:
    deed(shopper)

    assert shopper.receive(left(shopper)) == []

    assert reminders(shopper) == []


@pytest.mark.parametrize("asked", ["/api/carts/mine", "/api/orders?limit=1"])
@pytest.mark.parametrize("deed", [opts_out, wants_no_mails, leaves])
def test_no_mail_after_an_end_while_the_peers_are_asked(shopper: Service, deed: Deed, asked: str) -> None:
    shopper.shoppers.ask = lambda path: deed(shopper) if path == asked else None

    assert shopper.receive(left(shopper)) == []

    assert reminders(shopper) == []


@pytest.mark.parametrize("deed", DEEDS)
def test_carts_and_orders_are_asked_again_before_a_mail_that_waited(shopper: Service, deed: Deed) -> None:
    shopper.mailer.failures = [MailNotSent("SES is busy")]
    assert shopper.receive(left(shopper)) != []
    deed(shopper)

    assert shopper.receive(left(shopper)) == shopper.receive(left(shopper)) == []

    assert reminders(shopper) == []
    assert not [one for one in shopper.announced() if one["kind"] == "abandoned_cart" and one["channel"] == "email"]


@pytest.mark.parametrize("asked", ["/api/carts/mine", "/api/orders?limit=1"])
def test_without_an_answer_the_mail_waits(shopper: Service, asked: str) -> None:
    def fail(path: str) -> None:
        if path == asked:
            raise PeerUnavailable("no answer")

    shopper.shoppers.ask = fail
    assert shopper.receive(left(shopper)) != []
    assert reminders(shopper) == []

    shopper.shoppers.ask = lambda _: None
    assert shopper.receive(left(shopper)) == []
    assert len(reminders(shopper)) == 1


def test_carts_that_know_of_the_closed_account_earlier_end_it(shopper: Service) -> None:
    def refuse(_: str) -> None:
        raise PeerRefused("carts GET /api/carts/mine: 401", 401)

    shopper.shoppers.ask = refuse
    assert shopper.receive(left(shopper)) == []
    assert reminders(shopper) == []


def test_a_missing_permission_is_no_closed_account(shopper: Service) -> None:
    def forbid(_: str) -> None:
        raise PeerRefused("carts GET /api/carts/mine: 403", 403)

    shopper.shoppers.ask = forbid
    assert shopper.receive(left(shopper)) != []

    shopper.shoppers.ask = lambda _: None
    assert shopper.receive(left(shopper)) == []
    assert len(reminders(shopper)) == 1


def test_a_mail_whose_attempt_was_cut_off_is_not_sent_again(shopper: Service) -> None:
    class Killed(BaseException):
        """The process ends here."""

    shopper.mailer.failures, shopper.mailer.and_sends = [Killed()], True
    with pytest.raises(Killed):
        shopper.receive(left(shopper))
    shopper.pass_time(61)

    assert shopper.receive(left(shopper)) == []  # a dead letter

    assert len(reminders(shopper)) == 1


def test_a_shop_may_send_none(shopper: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    none = wiring.MailSettings("shop@mercato.example", "", cart_reminder_days=0)
    monkeypatch.setitem(vars(wiring.ports()), "mail_settings", none)
    assert shopper.receive(left(shopper)) == []
    assert reminders(shopper) == []
