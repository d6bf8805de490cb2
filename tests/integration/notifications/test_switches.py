"""Switches of kinds of mails, and the link in a mail that uses one without a log-in."""

from __future__ import annotations

import itertools
from typing import Any

import boto3
import pytest

from mercato.aws.mail import MailNotSent
from notifications.domain import SWITCHABLE, Kind
from tests.integration.interrupter import Interrupter
from tests.integration.notifications.conftest import Service

PREFERENCES = "/api/notifications/preferences"
ABOUT = {"order_id": "order-1", "customer_id": "user-1"}


def shipped(service: Service, **changes: Any) -> dict[str, Any]:
    data = ABOUT | {"carrier": "sandbox", "tracking_number": "T1"} | changes
    return service.event("order.shipped", "shipped-1", data, sequence=7)


def switch(service: Service, kind: str, is_on: bool, *, email: bool = True) -> tuple[int, Any]:
    return service.call("PUT", PREFERENCES, body={"email": email, "kinds": [{"kind": kind, "email": is_on}]})


def switches(service: Service) -> dict[str, bool]:
    return {one["kind"]: one["email"] for one in service.call("GET", PREFERENCES)[1]["kinds"]}


def token_of(link: str) -> str:
    return link.removeprefix("https://shop.example/unsubscribe/")


def click(service: Service, token: str) -> tuple[int, Any]:
    return service.call("POST", f"/api/notifications/unsubscriptions/{token}", user="")


def test_each_kind_says_whether_it_can_be_switched_off(service: Service) -> None:
    found = service.call("GET", PREFERENCES)[1]["kinds"]
    assert {one["kind"] for one in found if not one["needed"]} == set(SWITCHABLE)
    assert {one["kind"] for one in found} == set(Kind)


def test_a_kind_that_is_off_is_listed_and_not_mailed(service: Service) -> None:
    service.register()
    assert switch(service, "order_shipped", False)[0] == 200

    assert service.receive(shipped(service), service.receipt()) == []

    assert [subject for _, subject, _ in service.mailer.sent] == ["Your receipt for 12.50 GBP"]
    [found] = [one for one in service.listed()["items"] if one["kind"] == "order_shipped"]
    assert (found["channel"], found["status"]) == ("in_app", "sent")


def test_what_an_order_needs_is_mailed_with_all_switches_off(service: Service) -> None:
    service.register()
    status, problem = switch(service, "receipt", False, email=False)
    assert (status, problem["type"]) == (422, "urn:mercato:problem:needed-for-order")
    assert service.call("GET", PREFERENCES)[1]["email"] is True  # nothing of the request was kept
    assert service.call("PUT", PREFERENCES, body={"email": False})[0] == 200

    assert service.receive(shipped(service), service.receipt()) == []

    assert [subject for _, subject, _ in service.mailer.sent] == ["Your receipt for 12.50 GBP"]
    assert service.mailer.links == ["", "", ""][: len(service.mailer.links)]


def test_a_switch_that_is_not_named_stays(service: Service) -> None:
    switch(service, "order_shipped", False)
    switch(service, "back_in_stock", False)
    switch(service, "back_in_stock", True)
    switch(service, "receipt", True)

    assert [kind for kind, is_on in switches(service).items() if not is_on] == ["order_shipped"]


def test_the_link_of_a_mail_ends_its_kind_without_a_log_in(service: Service) -> None:
    service.register()
    service.receive(shipped(service))
    [(_, _, body)] = service.mailer.sent
    link = service.mailer.links[-1]
    assert link in body

    for _ in range(2):
        assert click(service, token_of(link)) == (200, {"kind": "order_shipped"})

    assert [kind for kind, is_on in switches(service).items() if not is_on] == ["order_shipped"]
    assert link not in service.listed()["items"][0]["body"]


def test_the_link_works_for_a_guest(service: Service) -> None:
    contact = {"email": "gita@example.com", "name": "Gita"}
    created = {"order_id": "order-1", "customer_id": "guest:1", "contact": contact}
    service.receive(service.event("order.created", "created-1", created))
    service.receive(shipped(service, customer_id="guest:1"))
    assert click(service, token_of(service.mailer.links[-1]))[0] == 200

    service.receive(service.event("order.delivered", "delivered-1", ABOUT | {"customer_id": "guest:1"}, sequence=9))
    again = {"carrier": "sandbox", "tracking_number": "T2"} | ABOUT | {"customer_id": "guest:1"}
    service.receive(service.event("order.shipped", "shipped-2", again, sequence=11))

    assert [subject for _, subject, _ in service.mailer.sent] == ["Your order is on its way", "Your order has arrived"]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda token: token[:-2],
        lambda token: "A" + token[1:],
        lambda token: token.partition(".")[0],
        lambda token: token + ".x",
        lambda token: "%C3%A9" + token,
        lambda _: "none",
    ],
)
def test_a_link_that_is_not_whole_changes_nothing(service: Service, spoil: Any) -> None:
    service.register()
    status, problem = click(service, spoil(token_of(service.link("user-1", "order_shipped"))))
    assert (status, problem["type"]) == (404, "urn:mercato:problem:unknown-link")
    assert all(switches(service).values())


def test_nobody_signs_a_link_that_ends_needed_mails(service: Service) -> None:
    assert click(service, token_of(service.link("user-1", "receipt")))[0] == 404


def test_a_link_signed_with_another_secret_is_refused_until_that_secret_is_the_shop_s(service: Service) -> None:
    service.register()
    token = token_of(service.link("user-1", "order_shipped"))
    store = boto3.client("secretsmanager", "us-east-1")
    store.put_secret_value(SecretId="unsubscribe-secret", SecretString="another")
    service.unsubscribing._secret.forget()
    assert click(service, token)[0] == 404

    store.put_secret_value(SecretId="unsubscribe-secret", SecretString="signs links")

    assert click(service, token)[0] == 200  # the secret is read again before a refusal


def test_the_link_of_a_closed_account_is_answered_and_keeps_nothing(service: Service) -> None:
    service.register()
    token = token_of(service.link("user-1", "order_shipped"))
    service.receive(service.event("user.closed", "closed-1", {"user_id": "user-1"}))

    assert click(service, token)[0] == 200

    items = boto3.client("dynamodb", "us-east-1").scan(TableName=service.table.name)["Items"]
    assert not [item for item in items if item["sk"]["S"] == "PREFERENCES"]


def test_a_mail_that_waited_is_not_sent_once_its_kind_is_off(service: Service) -> None:
    service.register()
    service.mailer.failures = [MailNotSent("SES is busy")]
    assert service.receive(shipped(service)) != []
    switch(service, "order_shipped", False)

    assert service.receive(shipped(service)) == service.receive(shipped(service)) == []

    assert service.mailer.sent == []
    [found] = [one for one in service.listed()["items"] if one["kind"] == "order_shipped"]
    assert (found["channel"], found["status"]) == ("in_app", "sent")


@pytest.mark.parametrize("deed", ["click", "close"])
def test_no_mail_is_begun_after_its_reader_ended_it_at_any_moment(service: Service, deed: str) -> None:
    """The claim decides: a mail goes out if and only if its claim was written before."""
    interrupter = Interrupter()
    seen = set()
    for call in itertools.count():
        user = f"user-{call}"
        service.register(user, f"{user}@example.com")
        token = token_of(service.link(user, "order_shipped"))
        begun: list[bool] = []

        def act(user: str = user, token: str = token, begun: list[bool] = begun) -> None:
            items = service.table.query_all(f"USER#{user}")
            begun.append(any(item.get("kind") == "order_shipped" and item["status"] != "pending" for item in items))
            if deed == "click":
                assert click(service, token)[0] == 200
            else:
                service.store.close_account(user, service.now)

        interrupter.at(call, act)
        event = service.event(
            "order.shipped",
            f"shipped-{call}",
            ABOUT | {"customer_id": user, "order_id": user} | {"carrier": "sandbox", "tracking_number": "T1"},
            sequence=7,
        )
        assert service.receive(event) == []
        if interrupter.act is not None:
            break
        sent = any(to == f"{user}@example.com" for to, _, _ in service.mailer.sent)
        assert sent == begun[0], f"interrupted before call {call}"
        seen.add(sent)
    assert seen == {True, False}
