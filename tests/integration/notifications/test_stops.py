"""Addresses that SES reports: they get no mails any more, until staff releases them."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import permutations
from typing import Any

import pytest

from mercato.aws.mail import MailNotSent
from mercato.clock import rfc3339
from tests.integration.notifications.conftest import Service
from tests.kit import aws_events

STOPS = "/api/notifications/stops"
ANNA = "anna@example.com"


def reported(service: Service, name: str, about: dict[str, Any], to: str = ANNA, event_id: str = "f-1") -> Any:
    event = aws_events.mail_report(name, about, to, event_id, rfc3339(service.now))
    return aws_events.sqs_record(event, "shop-notifications", message_id=f"m-{event_id}")


def bounced(
    service: Service, kind: str = "Permanent", at: datetime | None = None, to: str = ANNA, event_id: str = "f-1"
) -> Any:
    bounce = {
        "bounceType": kind,
        "bounceSubType": "NoEmail",
        "bouncedRecipients": [{"emailAddress": "elsewhere@example.com", "action": "failed", "status": "5.1.1"}],
        "timestamp": rfc3339(at or service.now),
        "feedbackId": "0100",
    }
    return reported(service, "Bounced", {"eventType": "Bounce", "bounce": bounce}, to, event_id)


def complained(service: Service, kind: str | None = "abuse") -> Any:
    complaint = {
        "complainedRecipients": [{"emailAddress": ANNA}],
        "timestamp": rfc3339(service.now),
        "feedbackId": "0100",
    } | ({"complaintFeedbackType": kind} if kind else {})
    return reported(service, "Complaint Received", {"eventType": "Complaint", "complaint": complaint})


def listed(service: Service) -> list[dict[str, Any]]:
    status, body = service.call("GET", STOPS, role="admin")
    assert status == 200, body
    return list(body["items"])


def release(service: Service, stop_id: str) -> int:
    return service.call("DELETE", f"{STOPS}/{stop_id}", role="admin")[0]


def stopped(service: Service) -> Any:
    return service.call("GET", "/api/notifications/preferences")[1]["stopped"]


@pytest.mark.parametrize("kind", ["abuse", "virus", None])
def test_a_complaint_stops_the_address(service: Service, kind: str | None) -> None:
    service.register()
    assert service.receive(complained(service, kind)) == []

    assert service.receive(service.receipt()) == []

    assert service.mailer.sent == []
    assert stopped(service) == "complaint"
    assert [(one["email"], one["reason"], one["detail"]) for one in listed(service)] == [
        (ANNA, "complaint", kind or "")
    ]
    [found] = [one for one in service.listed()["items"] if one["kind"] == "receipt"]
    assert (found["channel"], found["status"]) == ("in_app", "sent")


def test_a_permanent_bounce_stops_the_address_that_was_written_to(service: Service) -> None:
    """Not the one to which its mailbox forwards."""
    service.register(email="Anna@example.com")
    assert service.receive(bounced(service, to="anna@EXAMPLE.com")) == []

    assert service.receive(service.receipt()) == []

    assert (service.mailer.sent, stopped(service)) == ([], "bounce")


@pytest.mark.parametrize("kind", ["Transient", "Undetermined"])
def test_a_full_mailbox_stops_nothing(service: Service, kind: str) -> None:
    service.register()
    assert service.receive(bounced(service, kind)) == []
    assert service.receive(service.receipt()) == []
    assert (len(service.mailer.sent), stopped(service), listed(service)) == (1, None, [])


def test_a_mail_that_is_no_spam_after_all_stops_nothing(service: Service) -> None:
    service.register()
    assert service.receive(complained(service, "not-spam")) == []
    assert listed(service) == []


def test_others_get_their_mails(service: Service) -> None:
    service.register("user-2", "ben@example.com", "Ben")
    service.receive(bounced(service))
    assert service.receive(service.receipt(user_id="user-2")) == []
    assert len(service.mailer.sent) == 1


def test_a_mail_that_waited_is_not_sent_to_a_stopped_address(service: Service) -> None:
    service.register()
    service.mailer.failures = [MailNotSent("SES is busy")]
    assert service.receive(service.receipt()) != []
    service.receive(bounced(service))

    assert service.receive(service.receipt()) == []

    assert service.mailer.sent == []


def test_staff_releases_an_address_and_an_old_report_does_not_stop_it_again(service: Service) -> None:
    service.register()
    first = bounced(service)
    service.receive(first)
    [stop] = listed(service)
    service.pass_time(60)
    assert [release(service, stop["stop_id"]) for _ in range(2)] == [204, 204]

    assert service.receive(first) == []  # redelivered
    assert (listed(service), stopped(service)) == ([], None)
    assert service.receive(service.receipt()) == []
    assert len(service.mailer.sent) == 1

    service.pass_time(60)
    service.receive(bounced(service, event_id="f-2"))
    assert (len(listed(service)), stopped(service)) == (1, "bounce")


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_the_newest_report_counts_in_any_order(service: Service, order: tuple[int, ...]) -> None:
    reports = [
        bounced(service, at=service.now + timedelta(minutes=number), event_id=f"f-{number}") for number in range(3)
    ]
    for index in (*order, *order):
        assert service.receive(reports[index]) == []

    [found] = listed(service)
    assert found["stopped_at"] == rfc3339(service.now + timedelta(minutes=2))


def test_a_stop_ends_after_a_year(service: Service) -> None:
    service.register()
    service.receive(bounced(service))
    [stop] = listed(service)
    service.pass_time(365 * 86400)

    assert (listed(service), stopped(service)) == ([], None)
    assert release(service, stop["stop_id"]) == 404


def test_stops_are_listed_newest_first_page_by_page(service: Service) -> None:
    for number in range(5):
        at = service.now + timedelta(seconds=number)
        service.receive(bounced(service, at=at, to=f"p{number}@example.com", event_id=f"f-{number}"))
    seen: list[str] = []
    cursor: str | None = None
    while True:
        query = {"limit": "2"} | ({"cursor": cursor} if cursor else {})
        page = service.call("GET", STOPS, role="admin", query=query)[1]
        seen += [one["email"] for one in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == [f"p{number}@example.com" for number in (4, 3, 2, 1, 0)]


def test_staff_alone_sees_stops(service: Service) -> None:
    assert service.call("GET", STOPS)[0] == 403
    assert service.call("DELETE", f"{STOPS}/x")[0] == 403
    assert service.call("DELETE", f"{STOPS}/x", role="admin")[0] == 404


def test_a_report_of_another_shape_is_a_dead_letter(service: Service) -> None:
    assert service.receive(reported(service, "Bounced", {"eventType": "Bounce"})) == []
    assert listed(service) == []
