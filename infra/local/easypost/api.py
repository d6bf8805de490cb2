"""EasyPost's API of shipments and webhooks, with one label per Shipment and faults.

Its answers and errors have the shapes of EasyPost's published examples: the recorded calls of its own client
(github.com/EasyPost/easypost-python, tests/cassettes/test_shipment_buy.yaml and test_shipment_refund.yaml), the
responses in github.com/EasyPost/examples (official/docs/responses/shipments, /events and /webhooks), and the lists of
errors and of tracker statuses on docs.easypost.com. It was never compared with EasyPost itself.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from threading import Event, Lock
from typing import Any

from infra.local import http_server

KEY = "EZTK_of_this_shop"
WAREHOUSE = "adr_of_this_shop"
SECRET = "sécret of the webhook"
_RATES = (("USPS", "GroundAdvantage", "5.93"), ("USPS", "Express", "31.25"), ("UPSDAP", "Ground", "9.10"))
_MOVED = ("in_transit", "out_for_delivery", "available_for_pickup", "delivered", "return_to_sender")

_JSON = {"Content-Type": "application/json; charset=utf-8"}

Answer = tuple[int, dict[str, Any], dict[str, str]]


class Wish(StrEnum):
    """What the second line of the recipient's address says is to happen, as a sandbox card's token does."""

    LOST = "parcel_lost"
    RETURNED = "parcel_returned"
    STAYS = "parcel_stays"
    TOLD_TWICE = "parcel_told_twice"
    LABEL_TIMEOUT = "label_timeout_once"
    LABEL_ERROR = "label_error_once"
    LABEL_HANGS = "label_hangs_once"
    LABEL_REFUSED = "label_refused"
    VOID_REJECTED = "void_rejected"


def wish_of(shipment: dict[str, Any]) -> Wish | None:
    told = str(shipment["to_address"].get("street2") or "").strip().lower()
    return Wish(told) if told in set(Wish) else None


class Trouble(StrEnum):
    LOST = "done, and the answer is lost"
    BROKEN = "done, and answered 500"
    AWAY = "not done, and no answer"
    HANGS = "not done, and no answer until the end"
    BUSY = "not done: 429 with Retry-After"
    POOR = "not done: 402, the balance is used up"
    ODD = "done, and the answer is no JSON"
    GONE = "not done: 404"


_TROUBLES = {Wish.LABEL_TIMEOUT: Trouble.LOST, Wish.LABEL_ERROR: Trouble.BROKEN, Wish.LABEL_HANGS: Trouble.HANGS}


@dataclass
class FakeEasyPost:
    """`shipments` by id. `calls` has each request as (method, path), `asked` what a Shipment was made of. `bought` and
    `refunds` have the ids of Shipments in the order of purchases and refunds. `bad_streets` are refused.
    `webhooks` get the reports of a courier. A `deaf` one closes each connection without an answer.
    """

    url: str = ""
    key: str = KEY
    shipments: dict[str, dict[str, Any]] = field(default_factory=dict)
    calls: list[tuple[str, str]] = field(default_factory=list)
    asked: list[dict[str, Any]] = field(default_factory=list)
    bought: list[str] = field(default_factory=list)
    refunds: list[str] = field(default_factory=list)
    webhooks: list[dict[str, Any]] = field(default_factory=list)
    troubles: list[tuple[str, Trouble]] = field(default_factory=list)
    bad_streets: set[str] = field(default_factory=set)
    country: str | None = "GB"  # of the warehouse
    countries: set[str] = field(default_factory=lambda: {"GB", "US"})
    refund_status: str = "submitted"
    page: str | None = "https://track.easypost.example/{}"
    deaf: bool = False
    lock: Lock = field(default_factory=Lock)
    stopped: Event = field(default_factory=Event)

    def fail(self, path_ends: str, *troubles: Trouble) -> None:
        """The next calls to a path that ends so fail, one after the other."""
        self.troubles += [(path_ends, trouble) for trouble in troubles]

    def labels(self) -> list[str]:
        """The ids of the Shipments with a label that is not void."""
        made = list(self.shipments.values())
        return [one["id"] for one in made if one["postage_label"] and one["refund_status"] in (None, "rejected")]

    def with_labels(self) -> list[dict[str, Any]]:
        """The Shipments whose label was bought, void ones too."""
        return [one for one in self.shipments.values() if one["postage_label"]]

    def reset(self) -> None:
        for kept in (self.shipments, self.calls, self.asked, self.bought, self.refunds, self.troubles):
            kept.clear()
        self.deaf = False

    def only(self) -> dict[str, Any]:
        """The only Shipment with a label."""
        (found,) = self.with_labels()
        return found

    def scan(self, parcel_id: str, status: str) -> bool:
        """The carrier scans the parcel, unless its label is void."""
        with self.lock:
            found = self.shipments[parcel_id]
            if found["refund_status"] not in (None, "rejected"):
                return False
            found["tracker"] |= {"status": status, "status_detail": "status_update"}
            return True

    def move(self, parcel_id: str, status: str, detail: str = "status_update") -> None:
        """The carrier scans the parcel, also one whose label is void."""
        with self.lock:
            self.shipments[parcel_id]["tracker"] |= {"status": status, "status_detail": detail}

    def event(self, parcel_id: str, status: str | None = None, number: int = 1, **changes: Any) -> bytes:
        """The body of a webhook about the parcel's tracker, as it is now or with another status."""
        shipment = self.shipments.get(parcel_id)
        tracker = shipment["tracker"] if shipment else {"object": "Tracker", "shipment_id": parcel_id}
        told = tracker | ({"status": status} if status else {}) | changes
        event = {
            "id": f"evt_{number:032x}",
            "object": "Event",
            "mode": "test",
            "description": "tracker.updated",
            "status": "pending",
            "previous_attributes": {"status": "unknown"},
            "pending_urls": ["https://api.shop.test/api/shipments/webhooks/easypost"],
            "completed_urls": [],
            "result": told,
        }
        return json.dumps(event).encode()

    def answer(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Answer | Trouble | None:
        """None closes the connection without an answer; Trouble.HANGS keeps it open, Trouble.ODD answers a page.

        `POST /_config` with `{"deaf": true}` is the stand-in's own.
        """
        with self.lock:
            if (method, path) == ("POST", "/_config"):
                self.deaf = json.loads(body)["deaf"] is True
                return 200, {"deaf": self.deaf}, {}
            self.calls.append((method, path))
            if self.deaf:
                return None
            trouble = self._take(path)
            if trouble in (Trouble.AWAY, Trouble.HANGS):
                return None if trouble is Trouble.AWAY else trouble
            if trouble is Trouble.BUSY:
                return 429, _error("RATE_LIMITED", "Too many requests."), {"Retry-After": "7"}
            if trouble is Trouble.POOR:
                return 402, _error("PAYMENT_REQUIRED", "Insufficient funds."), {}
            if trouble is Trouble.GONE:
                return 404, _error("NOT_FOUND", "The requested resource could not be found."), {}
            wanted = "Basic " + base64.b64encode(f"{self.key}:".encode()).decode()
            if headers.get("authorization") != wanted:
                return 401, _error("APIKEY.INACTIVE", "This api key is no longer active."), {}
            status, said = self._do(method, path, json.loads(body) if body else {})
            if trouble is Trouble.BROKEN:
                return 500, _error("INTERNAL_SERVER_ERROR", "We're sorry, something went wrong."), {}
            if trouble in (Trouble.LOST, Trouble.ODD):
                return None if trouble is Trouble.LOST else trouble
            return status, said, {}

    def _take(self, path: str) -> Trouble | None:
        for number, (ends, trouble) in enumerate(self.troubles):
            if path.endswith(ends):
                del self.troubles[number]
                return trouble
        return None

    def _do(self, method: str, path: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        parts = path.partition("?")[0].strip("/").split("/")
        match method, parts:
            case "POST", ["v2", "shipments"]:
                return self._create(body["shipment"])
            case "GET", ["v2", "shipments"]:
                return 200, {"shipments": list(self.shipments.values()), "has_more": False}
            case "POST", ["v2", "webhooks"]:
                return self._hook(body["webhook"])
            case "GET", ["v2", "webhooks"]:
                return 200, {"webhooks": [_without_secret(one) for one in self.webhooks]}
        found = self.shipments.get(parts[2]) if len(parts) > 2 else None
        if found is None:
            return 404, _error("NOT_FOUND", "The requested resource could not be found.")
        match method, parts[3:]:
            case "GET", []:
                return 200, found
            case "POST", ["rerate"]:
                found["rates"] = self._rates(found)
                return 200, {"rates": found["rates"]}
            case "POST", ["buy"]:
                return self._buy(found, body["rate"]["id"])
            case "POST", ["refund"]:
                return self._refund(found)
        return 405, _error("METHOD_NOT_ALLOWED", "This method is not allowed.")

    def _create(self, wanted: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        self.asked.append(wanted)
        wish = wish_of(wanted)
        if wish is Wish.LABEL_REFUSED or wanted["to_address"]["street1"] in self.bad_streets:
            detail = {"field": "street1", "message": "House number is missing", "suggestion": None}
            return 422, _error("ADDRESS.VERIFY.FAILURE", "Unable to verify address.", [detail])
        shipment = {
            "id": f"shp_{len(self.shipments) + 1:032x}",
            "object": "Shipment",
            "mode": "test",
            "reference": wanted["reference"],
            "to_address": wanted["to_address"],
            "from_address": {"id": wanted["from_address"]["id"], "object": "Address", "country": self.country},
            "tracking_code": None,
            "refund_status": None,
            "selected_rate": None,
            "postage_label": None,
            "tracker": None,
            "messages": [],
        }
        shipment["rates"] = self._rates(shipment)
        if not shipment["rates"]:
            said = "shipment.customs_info: field required"
            shipment["messages"] = [{"carrier": "DhlEcs", "type": "rate_error", "message": said}]
        self.shipments[shipment["id"]] = shipment
        if wish in _TROUBLES:
            self.fail(f"/{shipment['id']}/buy", _TROUBLES[wish])
        return 201, shipment

    def _hook(self, wanted: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        hook = {
            "id": f"hook_{len(self.webhooks) + 1:032x}",
            "object": "Webhook",
            "mode": "test",
            "url": wanted["url"],
            "disabled_at": None,
            "webhook_secret": wanted["webhook_secret"],
        }
        self.webhooks.append(hook)
        return 201, _without_secret(hook)

    def _rates(self, shipment: dict[str, Any]) -> list[dict[str, Any]]:
        if shipment["to_address"]["country"] not in self.countries:
            return []
        before = len(shipment.get("rates") or [])
        return [
            {"id": f"rate_{shipment['id']}_{before + number}", "carrier": carrier, "service": service, "rate": price}
            for number, (carrier, service, price) in enumerate(_RATES)
        ]

    def _buy(self, shipment: dict[str, Any], rate_id: str) -> tuple[int, dict[str, Any]]:
        if shipment["postage_label"]:
            return 422, _error("SHIPMENT.POSTAGE.EXISTS", "Postage already exists for this shipment.")
        rate = next((one for one in shipment["rates"] if one["id"] == rate_id), None)
        if rate is None:
            return 422, _error("SHIPMENT.POSTAGE.FAILURE", "The rate is not of this shipment.")
        self.bought.append(shipment["id"])
        code = f"94001{len(self.bought):017}"
        shipment["selected_rate"] = rate
        shipment["tracking_code"] = code
        shipment["postage_label"] = {
            "object": "PostageLabel",
            "label_file_type": "image/png",
            "label_url": f"https://easypost-files.example/{shipment['id']}.png",
        }
        shipment["tracker"] = {
            "id": f"trk_{len(self.bought):032x}",
            "object": "Tracker",
            "tracking_code": code,
            "status": "pre_transit",
            "status_detail": "status_update",
            "carrier": rate["carrier"],
            "shipment_id": shipment["id"],
            "tracking_details": [],
            "public_url": self.page and self.page.format(code),
        }
        return 200, shipment

    def _refund(self, shipment: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        if shipment["postage_label"] is None:
            return 422, _error("SHIPMENT.REFUND.FAILURE", "The shipment has no label.")
        if shipment["tracker"]["status"] in _MOVED:
            return 422, _error("SHIPMENT.REFUND.UNAVAILABLE", "Unable to request refund. The parcel has been shipped.")
        self.refunds.append(shipment["id"])
        is_rejected = wish_of(shipment) is Wish.VOID_REJECTED
        shipment["refund_status"] = "rejected" if is_rejected else self.refund_status
        return 200, shipment


def signature(body: bytes, secret: str = SECRET) -> str:
    key = unicodedata.normalize("NFKD", secret).encode()
    return "hmac-sha256-hex=" + hmac.new(key, body, hashlib.sha256).hexdigest()


def _without_secret(hook: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in hook.items() if name != "webhook_secret"}


def _error(code: str, message: str, errors: list[Any] | None = None) -> dict[str, Any]:
    return {"error": {"code": code, "message": message, "errors": errors or []}}


@contextmanager
def running(port: int = 0, key: str = KEY) -> Iterator[FakeEasyPost]:
    """`port`: any free one if it is 0."""
    fake = FakeEasyPost(key=key)

    def answer(method: str, path: str, headers: dict[str, str], body: bytes) -> http_server.Answer | None:
        said = fake.answer(method, path, headers, body)
        if said is Trouble.HANGS:
            fake.stopped.wait(30)
        if said is None or said is Trouble.HANGS:
            return None
        if isinstance(said, Trouble):
            return 200, _JSON, b"<html>"
        status, found, extra = said
        return status, _JSON | extra, json.dumps(found).encode()

    with http_server.serving(answer, port) as fake.url:
        try:
            yield fake
        finally:
            fake.stopped.set()
