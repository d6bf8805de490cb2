"""What the tests of all services try with notifications. tests/kit/cases.py says what each list is for."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from mercato.clock import rfc3339
from mercato.guests import guest_of
from mercato.http import View
from mercato.languages import Language
from mercato.store.dynamo import Table
from notifications import texts, wiring
from notifications.api import NotificationView, StopView
from notifications.domain import reader_of_guest
from notifications.guest_carts import Consent, GuestCarts, LeftLine
from notifications.stops import Reason, Stop, StopNotFound, Stops
from notifications.store import NotificationStore
from notifications.wishes.domain import MOST_WISHES
from notifications.wishes.domain import Asked as AskedWish
from notifications.wishes.guest_store import GuestWishStore
from notifications.wishes.store import WishStore
from tests.integration.notifications.test_stops import bounced, complained
from tests.kit.asked import Asked, asking
from tests.kit.cases import SEQUENCE, Accepted, Data, Exempt, Expiring, Given, Heard, Largest, MayGo, OwnQueue, Refused
from tests.kit.given import COSTLY, WIDE

_GUEST_CART = f"guest-{'5e' * 24}"

# ---- requests that succeed


def _notified(service: Any) -> Asked:
    service.register("ada")
    service.receive(service.receipt(user_id="ada"))
    notification_id = service.listed("ada")["items"][0]["notification_id"]
    return Asked(f"/api/notifications/{notification_id}/read")


def _preferring(service: Any) -> Asked:
    service.register("ada")
    kinds = [{"kind": "order_shipped", "email": False, "sms": True}]
    return Asked("/api/notifications/preferences", {"email": False, "kinds": kinds, "phone": "+44 20 7946 0958"})


def _preferring_as_guest(service: Any) -> Asked:
    kinds = [{"kind": "order_shipped", "sms": True}]
    return Asked(service.know_link(), {"kinds": kinds, "phone": "+44 20 7946 0958"}, user="")


def _reminding(service: Any) -> Asked:
    service.shoppers.carts[guest_of(_GUEST_CART)] = {"version": 7, "lines": [{"product_id": "mug", "name": "A mug"}]}
    return Asked(f"/api/notifications/guests/{_GUEST_CART}/reminder", {"email": "gita@example.com"}, user="")


def _reminded(service: Any) -> Asked:
    asked = _reminding(service)
    assert service.call("PUT", asked.path, user="", role="", body=asked.body)[0] == 204
    return Asked(asked.path, user="")


def _way_back(service: Any) -> Asked:
    _reminded(service)
    guest_id = guest_of(_GUEST_CART)
    event = service.event("cart.abandoned", "left-7", {"cart_id": guest_id, "customer_id": guest_id}, sequence=7)
    assert service.receive(event) == []
    token = service.mailer.sent[-1][2].partition("/cart/back/")[2].partition("\n")[0]
    return Asked(f"/api/notifications/guest-reminders/{token}", user="")


def _wording(_: Any) -> Asked:
    words = {"subject": "A receipt", "body": "{{ amount }}", "version": 0}
    return Asked("/api/notifications/texts/receipt/en", words, role="admin")


def _previewing(_: Any) -> Asked:
    words = {"subject": "A receipt", "body": "{{ amount }}"}
    return Asked("/api/notifications/texts/receipt/en/previews", words, role="admin")


def _stopped_address(service: Any) -> Asked:
    Stops(service.table).stop(Stop("ada@example.com", Reason.BOUNCE, "NoEmail", service.now))
    [stop], _ = Stops(service.table).list_page(limit=1, cursor=None, now=service.now)
    return Asked(f"/api/notifications/stops/{stop.stop_id}", role="admin")


def _unsubscribing(service: Any) -> Asked:
    service.register("ada")
    link = service.link("ada", "order_shipped")
    return Asked(f"/api/notifications/unsubscriptions/{link.rpartition('/')[2]}", user="")


def _asking_as_guest(service: Any) -> Asked:
    service.sells("mug")
    return Asked("/api/notifications/guest-wishes", {"product_id": "mug", "email": "ada@example.com"}, user="")


def _asked_as_guest(service: Any) -> Asked:
    service.sells("mug")
    return Asked(f"/api/notifications/guest-wishes/{service.asked_by('ada@example.com')}", user="")


def _wishing(service: Any) -> Asked:
    service.register("ada")
    service.sells("mug")
    return Asked("/api/notifications/wishes/mug")


def _wished(service: Any) -> Asked:
    asked = _wishing(service)
    assert service.call("PUT", asked.path, user="ada")[0] == 200
    return asked


ACCEPTED = (
    Accepted("POST /api/notifications/{notification_id}/read", _notified),
    Accepted("PUT /api/notifications/preferences", _preferring),
    Accepted("PUT /api/notifications/guests/{token}/preferences", _preferring_as_guest),
    Accepted("PUT /api/notifications/guests/{cart_id}/reminder", _reminding),
    Accepted("DELETE /api/notifications/guests/{cart_id}/reminder", _reminded),
    Accepted("DELETE /api/notifications/guest-reminders/{token}", _way_back),
    Accepted("PUT /api/notifications/texts/{name}/{language}", _wording),
    Accepted("POST /api/notifications/texts/{name}/{language}/previews", _previewing),
    Accepted("POST /api/notifications/unsubscriptions/{token}", _unsubscribing),
    Accepted("DELETE /api/notifications/stops/{stop_id}", _stopped_address),
    Accepted("POST /api/notifications/guest-wishes", _asking_as_guest),
    Accepted("POST /api/notifications/guest-wishes/{token}", _asked_as_guest),
    Accepted("DELETE /api/notifications/guest-wishes/{token}", _asked_as_guest),
    Accepted("PUT /api/notifications/wishes/{product_id}", _wishing),
    Accepted("DELETE /api/notifications/wishes/{product_id}", _wished),
)

# ---- requests that are refused


def _preferring_after_closing(service: Any) -> Asked:
    service.register("user-1")
    service.receive(service.event("user.closed", "closed-1", {"user_id": "user-1"}))
    return Asked("/api/notifications/preferences", {"email": False}, user="user-1")


def _wishing_where(available: int | None, *, wishes: int = 0) -> Given:
    def given(service: Any) -> Asked:
        service.register("user-1")
        for number in range(wishes):
            service.sells(f"p-{number}")
            assert service.call("PUT", f"/api/notifications/wishes/p-{number}")[0] == 200
        service.sells("mug", available=available)
        return Asked("/api/notifications/wishes/mug", user="user-1")

    return given


def _asking_as_guest_where(available: int, **body: str) -> Given:
    def given(service: Any) -> Asked:
        service.sells("mug", available=available)
        wish = {"product_id": "mug", "email": "ada@example.com"} | body
        return Asked("/api/notifications/guest-wishes", wish, user="")

    return given


def _confirming(**moved: Any) -> Given:
    """The product is sold again, or no more, before the guest confirms."""

    def given(service: Any) -> Asked:
        service.sells("mug")
        token = service.asked_by("ada@example.com")
        service.sells("mug", **moved)
        return Asked(f"/api/notifications/guest-wishes/{token}", user="")

    return given


def _wishing_after_closing(service: Any) -> Asked:
    asked = _wishing_where(0)(service)
    service.receive(service.event("user.closed", "closed-1", {"user_id": "user-1"}))
    return asked


def _texting(kind: str = "order_shipped", *, offered: bool = True, **more: str) -> Given:
    """Switches text messages of this kind on."""

    def given(service: Any) -> Asked:
        service.register("user-1")
        if not offered:
            vars(wiring.ports())["settings"] = wiring.Settings("", "", "https://shop.example")
        kinds = [{"kind": kind, "email": True, "sms": True}]
        return Asked("/api/notifications/preferences", {"email": True, "kinds": kinds} | more, user="user-1")

    return given


def _as_guest(given: Given) -> Given:
    """The same wish about a guest's order, by its link."""
    return lambda service: replace(given(service), path=service.know_link(), user="")


def _after_the_order_is_forgotten(service: Any) -> Asked:
    service.store.close_account(reader_of_guest("order-1"), service.now)
    return Asked(service.know_link(), {"email": False}, user="")


def _reminding_to(email: str) -> Given:
    return asking(f"/api/notifications/guests/guest-{'0' * 48}/reminder", {"email": email}, user="")


_REMINDER = "PUT /api/notifications/guests/{cart_id}/reminder"
_REMINDERS = "/api/notifications/guest-reminders"
_RECEIPTS_OFF = asking(
    "/api/notifications/preferences", {"email": True, "kinds": [{"kind": "receipt", "email": False}]}
)
_GUESTS_SWITCHES = "PUT /api/notifications/guests/{token}/preferences"
_TEXTING = {
    "number-missing": _texting(),
    "invalid-number": _texting(phone="020 7946 0958"),
    "not-by-sms": _texting("receipt"),
    "sms-not-offered": _texting(offered=False),
}
_TEXT = "PUT /api/notifications/texts/{name}/{language}"
_WORDS = {"subject": "A receipt", "body": "{{ amount }}"}
_WISH = "PUT /api/notifications/wishes/{product_id}"
_ASKED = "POST /api/notifications/guest-wishes"
_CONFIRM = "/api/notifications/guest-wishes/{token}"
REFUSED = (
    Refused(
        "POST /api/notifications/{notification_id}/read",
        "notification-not-found",
        asking("/api/notifications/nothing/read"),
    ),
    Refused("PUT /api/notifications/preferences", "reader-gone", _preferring_after_closing),
    Refused(
        "PUT /api/notifications/preferences",
        "needed-for-order",
        _RECEIPTS_OFF,
    ),
    *(Refused("PUT /api/notifications/preferences", slug, given) for slug, given in _TEXTING.items()),
    *(Refused(_GUESTS_SWITCHES, slug, _as_guest(given)) for slug, given in _TEXTING.items()),
    Refused(_GUESTS_SWITCHES, "needed-for-order", _as_guest(_RECEIPTS_OFF)),
    Refused(_GUESTS_SWITCHES, "reader-gone", _after_the_order_is_forgotten),
    Refused(
        _GUESTS_SWITCHES,
        "link-not-found",
        asking("/api/notifications/guests/nothing/preferences", {"email": False}, user=""),
    ),
    Refused(
        _TEXT, "text-not-found", asking("/api/notifications/texts/receipt/fr", _WORDS | {"version": 0}, role="admin")
    ),
    Refused(
        _TEXT, "text-changed", asking("/api/notifications/texts/receipt/en", _WORDS | {"version": 7}, role="admin")
    ),
    Refused(
        _TEXT,
        "invalid-text",
        asking("/api/notifications/texts/receipt/en", _WORDS | {"body": "{{ card }}", "version": 0}, role="admin"),
    ),
    Refused(
        f"POST {_TEXT.partition(' ')[2]}/previews",
        "text-not-found",
        asking("/api/notifications/texts/receipt/fr/previews", _WORDS, role="admin"),
    ),
    Refused(
        f"POST {_TEXT.partition(' ')[2]}/previews",
        "invalid-text",
        asking("/api/notifications/texts/receipt/en/previews", _WORDS | {"body": "{{ card }}"}, role="admin"),
    ),
    Refused(
        "POST /api/notifications/unsubscriptions/{token}",
        "unknown-link",
        asking("/api/notifications/unsubscriptions/dXNlci0x.bm8", user=""),
    ),
    Refused(
        "DELETE /api/notifications/stops/{stop_id}",
        "stop-not-found",
        asking("/api/notifications/stops/nothing", role="admin"),
    ),
    Refused(_REMINDER, "invalid-email", _reminding_to("nobody")),
    Refused(_REMINDER, "cart-not-found", _reminding_to("gita@example.com")),
    Refused(
        "DELETE /api/notifications/guest-reminders/{token}", "unknown-link", asking(f"{_REMINDERS}/bm8.bm8", user="")
    ),
    Refused(_ASKED, "invalid-email", _asking_as_guest_where(0, email="nobody")),
    Refused(_ASKED, "in-stock", _asking_as_guest_where(7)),
    Refused(_ASKED, "unknown-product", _asking_as_guest_where(0, product_id="nothing")),
    Refused(f"POST {_CONFIRM}", "unknown-link", asking("/api/notifications/guest-wishes/bm8.bm8", user="")),
    Refused(f"POST {_CONFIRM}", "in-stock", _confirming(available=7)),
    Refused(f"POST {_CONFIRM}", "unknown-product", _confirming(status="discontinued")),
    Refused(f"DELETE {_CONFIRM}", "unknown-link", asking("/api/notifications/guest-wishes/bm8.bm8", user="")),
    Refused(_WISH, "unknown-product", asking("/api/notifications/wishes/nothing")),
    Refused(_WISH, "in-stock", _wishing_where(7)),
    Refused(_WISH, "too-many-wishes", _wishing_where(0, wishes=MOST_WISHES)),
    Refused(_WISH, "reader-gone", _wishing_after_closing),
)

# ---- events


def _closed_user(service: Any) -> Data:
    service.register("user-1")
    return {"user_id": "user-1"}


def _user(service: Any) -> Data:
    service.register("user-1")
    return {"customer_id": "user-1"}


def _wished_for(service: Any) -> Data:
    service.register("ada")
    service.sells("mug")
    assert service.call("PUT", "/api/notifications/wishes/mug", user="ada")[0] == 200
    return {"product_id": "mug", "available": 7}


def _wish_asked(service: Any) -> Data:
    service.sells("mug")
    return {"wish_id": service.ask("ada@example.com")}


def _left_cart(service: Any) -> Data:
    service.register("ada")
    service.shoppers.carts["ada"] = {"version": SEQUENCE, "lines": [{"name": "A mug"}]}
    return {"customer_id": "ada"}


def _awaited(service: Any) -> Data:
    return _user(service) | {"until": rfc3339(service.now + timedelta(minutes=10))}


HEARD = (
    Heard("notifications", "user.registered"),
    Heard("notifications", "cart.abandoned", _left_cart),
    Heard("notifications", "user.profile_changed", _closed_user),
    Heard("notifications", "user.closed", _closed_user),
    Heard("notifications", "order.created"),
    Heard("notifications", "order.anonymised"),
    Heard("notifications", "order.payment_awaited", _awaited),
    Heard("notifications", "order.payment_attempted", _user),
    Heard("notifications", "order.delivered", _user),
    Heard("notifications", "order.confirmed", _user),
    Heard("notifications", "order.shipped", _user),
    Heard("notifications", "order.cancelled", _user),
    Heard("notifications", "order.return_approved", _user),
    Heard("notifications", "order.return_refused", _user),
    Heard("notifications", "order.return_received", _user),
    Heard("notifications", "payment.completed", _user),
    Heard("notifications", "payment.failed", _user),
    Heard("notifications", "payment.refunded", _user),
    Heard("notifications", "inventory.low_stock", _wished_for),
    Heard("notifications", "inventory.restocked", _wished_for),
    Heard("notifications", "product.discontinued", _wished_for),
    Heard("notifications", "wish.asked", _wish_asked),
)

# ---- messages of its own queues


def _bounced(service: Any) -> Any:
    service.register()
    return bounced(service)["body"]


def _complained(service: Any) -> Any:
    service.register()
    return complained(service)["body"]


OWN_QUEUES = (
    OwnQueue("notifications.consumers", "notifications", _bounced),
    OwnQueue("notifications.consumers", "notifications", _complained),
)

# ---- items of lists


def _largest_notification() -> View:
    """An order with as many lines as a mail names. A product's name is the longest text in a mail."""
    content = texts.order_confirmed("x" * 36, COSTLY, [(10_000, WIDE * 200)] * 500)
    text = max((texts.write(content, WIDE * 200, one) for one in Language), key=lambda text: len(text.body))
    about = dict.fromkeys(("notification_id", "kind", "order_id", "created_at", "channel", "status"), "x" * 36)
    return NotificationView(**about, subject=text.subject, body=text.body, language="en", read=False)


def _largest_stopped() -> View:
    return StopView.of(Stop("a" * 254, Reason.COMPLAINT, "OnAccountSuppressionList", datetime(2026, 1, 1, tzinfo=UTC)))


LARGEST = (
    Largest("GET /api/notifications", _largest_notification, is_one_query=True),
    Largest("GET /api/notifications/stops", _largest_stopped, is_one_query=True),
)

# ---- items that expire


def _guest_wishes(table: Table) -> tuple[GuestWishStore, WishStore]:
    wishes = WishStore(table, NotificationStore(table))
    return GuestWishStore(table, wishes), wishes


def _keep_question(table: Table, now: datetime, wish_id: str = "wish-1") -> AskedWish:
    asked = AskedWish(wish_id, "ada@example.com", "mug", "Mug", None)
    _guest_wishes(table)[0].ask(asked, now)
    return asked


def _look_for_question(table: Table, now: datetime) -> object:
    guests, _ = _guest_wishes(table)
    return guests.find("wish-1", now), guests.claim_mail("wish-1", "claim-1", now)


def _keep_guests_wish(table: Table, now: datetime, wish_id: str = "wish-1") -> None:
    _guest_wishes(table)[0].confirm(_keep_question(table, now, wish_id), is_sold_out=True, now=now)


def _keep_wish_again(table: Table, now: datetime) -> object:
    _, wishes = _guest_wishes(table)
    found = [wish.user_id for wish in wishes.iterate("mug", now)]
    _keep_guests_wish(table, now, "wish-2")
    return found, [wish.user_id for wish in wishes.iterate("mug", now)]


def _consent(now: datetime) -> Consent:
    return Consent("guest:1", "ada@example.com", None, now)


def _want_reminder(table: Table, now: datetime) -> bool:
    return GuestCarts(table).note(_consent(now), now)


def _refuse_reminders(table: Table, now: datetime) -> None:
    _want_reminder(table, now)
    GuestCarts(table).refuse("guest:1", now)
    GuestCarts(table).drop("guest:1")


def _stop(table: Table, now: datetime) -> object:
    Stops(table).stop(Stop("ada@example.com", Reason.BOUNCE, "NoEmail", now))
    return None


def _stops(table: Table, now: datetime) -> object:
    stops = Stops(table)
    found = stops.find("ada@example.com", now), stops.list_page(limit=9, cursor=None, now=now)[0]
    try:
        stops.release(hashlib.sha256(b"ada@example.com").hexdigest(), now)
    except StopNotFound as missing:
        return found, missing.slug()
    return found, "released"


EXPIRING = (
    Expiring("stopped address", "NotificationsTable", ("notifications.stops:Stops.stop",), _stop, _stops),
    Expiring(
        "guest's question",
        "NotificationsTable",
        ("notifications.wishes.guest_store:GuestWishStore.ask",),
        _keep_question,
        _look_for_question,
    ),
    Expiring(
        "guest's wish for a reminder",
        "NotificationsTable",
        ("notifications.guest_carts:GuestCarts.note",),
        _want_reminder,
        lambda table, now: GuestCarts(table).find("guest:1", now),
    ),
    Expiring(
        "what a reminder told",
        "NotificationsTable",
        ("notifications.guest_carts:GuestCarts.tell",),
        lambda table, now: table.transact(GuestCarts(table).tell(_consent(now), 1, [LeftLine("mug", "Mug", 1)], now)),
        lambda table, now: (GuestCarts(table).find_told("guest:1", now), _want_reminder(table, now)),
    ),
    Expiring(
        "address without reminders",
        "NotificationsTable",
        ("notifications.guest_carts:GuestCarts.refuse",),
        _refuse_reminders,
        _want_reminder,
    ),
    Expiring(
        "guest's wish",
        "NotificationsTable",
        ("notifications.wishes.store:_item", "notifications.wishes.guest_store:GuestWishStore.confirm"),
        _keep_guests_wish,
        _keep_wish_again,
    ),
)
EXEMPT = (
    Exempt("notifications.progress:Progress.note", "it outlives the last delivery of the events that it overtakes"),
    Exempt("notifications.wishes.guest_store:count_mail", "its key is a day, which is over when it expires"),
    Exempt(
        "notifications.store:NotificationStore.close_account",
        "the message that it ends has expired long before it does",
    ),
    Exempt("notifications.store:_item", "what a guest was told outlives the last delivery of the event that told it"),
    Exempt(
        "notifications.wishes.store:WishStore.follow_stock", "it outlives the last delivery of the event that reads it"
    ),
    Exempt("notifications.wishes.store:WishStore.tell", "it outlives the last delivery of the event that reads it"),
)
MAY_GO = (
    MayGo("functions/notifications/notifications/stops.py", "an address that gets no mails, after a year"),
    MayGo(
        "functions/notifications/notifications/progress.py",
        "how far an order was, longer than an event that it overtakes",
    ),
    MayGo("functions/notifications/notifications/store.py", "what a guest was told of a product or a cart"),
    MayGo("functions/notifications/notifications/guest_carts.py", "a guest's wish to be reminded, and what was told"),
    MayGo("functions/notifications/notifications/wishes/guest_store.py", "what a guest did not confirm in two days"),
    MayGo(
        "functions/notifications/notifications/wishes/store.py",
        "a guest's wish after half a year, and how an event was answered, like its marker",
    ),
)
