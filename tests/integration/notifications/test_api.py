from datetime import timedelta
from typing import Any

import pytest

from notifications import api
from tests.kit import aws_events


def receive_receipts(service: Any, count: int, user: str = "user-1") -> None:
    for number in range(count):
        service.receive(service.receipt(f"paid-{user}-{number}", user, at=service.now + timedelta(minutes=number + 1)))


def test_notifications_are_listed_newest_first_page_by_page(service: Any) -> None:
    service.register()
    receive_receipts(service, 4)
    seen: list[dict[str, Any]] = []
    cursor: str | None = None
    sizes = []
    while True:
        page = service.listed(limit="2", **({"cursor": cursor} if cursor else {}))
        seen += page["items"]
        sizes.append(len(page["items"]))
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert [found["kind"] for found in seen] == ["receipt"] * 4 + ["welcome"]
    assert [found["created_at"] for found in seen] == sorted((found["created_at"] for found in seen), reverse=True)
    assert len({found["notification_id"] for found in seen}) == 5
    assert sizes == [2, 2, 1]


def test_a_notification_shows_what_was_sent(service: Any) -> None:
    service.register()
    service.receive(service.receipt(at=service.now + timedelta(minutes=1)))
    found = service.listed(limit="1")["items"][0]
    assert found == {
        "notification_id": found["notification_id"],
        "kind": "receipt",
        "subject": "Your receipt for 12.50 GBP",
        "body": service.mailer.sent[0][2],
        "language": "en",
        "order_id": "order-1",
        "created_at": "2026-11-22T12:01:00.000Z",
        "read": False,
        "channel": "email",
        "status": "sent",
    }


def test_reading_takes_a_notification_off_the_unread_list_once(service: Any) -> None:
    service.register()
    receive_receipts(service, 2)
    first = service.listed()["items"][0]["notification_id"]
    for _ in range(2):
        assert service.call("POST", f"/api/notifications/{first}/read") == (204, None)
    unread = service.listed(unread="true")
    assert first not in [found["notification_id"] for found in unread["items"]]
    assert (len(unread["items"]), unread["unread_count"]) == (2, 2)
    assert service.listed()["items"][0]["read"] is True
    assert len(service.listed()["items"]) == 3


def test_the_unread_list_is_newest_first_and_pages(service: Any) -> None:
    service.register()
    receive_receipts(service, 3)
    first = service.listed(unread="true", limit="3")
    second = service.listed(unread="true", limit="3", cursor=first["next_cursor"])
    assert [found["kind"] for found in first["items"] + second["items"]] == ["receipt"] * 3 + ["welcome"]


def test_anothers_notification_is_not_found_and_stays_unread(service: Any) -> None:
    service.register()
    service.register("user-2", "ben@example.com", "Ben")
    anna = service.listed()["items"][0]["notification_id"]
    status, problem = service.call("POST", f"/api/notifications/{anna}/read", user="user-2")
    assert (status, problem["type"]) == (404, "urn:mercato:problem:notification-not-found")
    assert service.listed()["unread_count"] == 1
    assert service.listed("user-2")["unread_count"] == 1


@pytest.mark.parametrize("notification_id", ["unknown", "x" * 201, "%00", "..%2F..", "N%23"])
def test_an_unknown_notification_is_404(service: Any, notification_id: str) -> None:
    assert service.call("POST", f"/api/notifications/{notification_id}/read")[0] == 404
    assert service.listed()["unread_count"] == 0


def test_a_cursor_opens_only_the_list_it_came_from(service: Any) -> None:
    service.register()
    service.register("user-2", "ben@example.com", "Ben")
    receive_receipts(service, 1)
    cursor = service.listed(limit="1")["next_cursor"]
    for user, query in (("user-2", {"cursor": cursor}), ("user-1", {"cursor": cursor, "unread": "true"})):
        status, problem = service.call("GET", "/api/notifications", user=user, query=query)
        assert (status, problem["type"]) == (400, "urn:mercato:problem:invalid-cursor")


@pytest.mark.parametrize(
    "query", [{"limit": "0"}, {"limit": "101"}, {"limit": "x"}, {"unread": "maybe"}, {"page": "2"}]
)
def test_a_query_that_makes_no_sense_is_422(service: Any, query: dict[str, str]) -> None:
    assert service.call("GET", "/api/notifications", query=query)[0] == 422


def test_a_peer_reads_the_count_on_behalf_of_a_user(service: Any) -> None:
    service.register()
    event = aws_events.url_request(
        "GET", "/api/notifications", headers={"X-User-Id": "user-1"}, query="unread=true&limit=1"
    )
    answer = api.handler(event, None)
    assert answer["statusCode"] == 200
    assert '"unread_count":1' in answer["body"]
    event["headers"] = {}
    assert api.handler(event, None)["statusCode"] == 403


def test_nobody_else_gets_in(service: Any) -> None:
    for method, path in (
        ("GET", "/api/notifications"),
        ("POST", "/api/notifications/x/read"),
        ("GET", "/api/notifications/preferences"),
        ("PUT", "/api/notifications/preferences"),
    ):
        assert service.call(method, path, user="")[0] == 401


def test_preferences_are_on_until_they_are_turned_off(service: Any) -> None:
    path = "/api/notifications/preferences"
    assert service.call("GET", path)[1]["email"] is True
    assert service.call("PUT", path, body={"email": False})[1]["email"] is False
    assert service.call("GET", path)[1]["email"] is False
    assert service.call("GET", path, user="user-2")[1]["email"] is True


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"email": "no"},
        {"email": 0},
        {"email": True, "sms": True},
        {"email": False, "kinds": [{"kind": "order_shipped"}]},
        {"email": False, "kinds": [{"kind": "nonsense", "email": False}]},
        [],
        None,
    ],
)
def test_preferences_that_make_no_sense_change_nothing(service: Any, body: Any) -> None:
    path = "/api/notifications/preferences"
    assert service.call("PUT", path, body=body)[0] in (400, 422)
    assert service.call("GET", path)[1]["email"] is True
