"""The shipping service with EasyPost as its carrier, at the wire."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import boto3

from infra.local.easypost.api import KEY, SECRET, WAREHOUSE, FakeEasyPost, signature
from mercato.aws.secret import StoredSecret
from mercato.peers.transport import Transport
from shipping import wiring
from shipping.bookings import Bookings
from shipping.domain import Shipment
from shipping.easypost.api import EasyPostApi
from shipping.easypost.carrier import EasyPostCarrier, Terms, services_of
from shipping.usecases import Carrier, shipment_id_of

if TYPE_CHECKING:
    from tests.integration.shipping.conftest import Service

SHIPMENT = shipment_id_of("order-1")
SERVICES = "standard=USPS/GroundAdvantage,express=UPSDAP/NextDayAir|USPS/Express"
WEBHOOK = "/api/shipments/webhooks/easypost"
CHOSEN = {"carrier": "easypost", "service": "standard", "name": "Standard", "days": 3, "weight_grams": 500}


class Desk:
    """A shop whose parcels go by EasyPost. `shop` is its shipping service, `fake` is EasyPost."""

    def __init__(self, shop: Service, fake: FakeEasyPost) -> None:
        self.shop = shop
        self.fake = fake
        vars(wiring.ports()).update(
            carrier_settings=wiring.CarrierSettings(
                "easypost", shop.queue_url, 0, "easypost-key", fake.url, SERVICES, WAREHOUSE
            ),
            api_settings=wiring.ApiSettings("easypost", "easypost-webhook"),
            webhook_secret=StoredSecret("easypost-webhook"),
        )
        secrets = boto3.client("secretsmanager", "us-east-1")
        secrets.create_secret(Name="easypost-key", SecretString=KEY)
        secrets.create_secret(Name="easypost-webhook", SecretString=SECRET)

    def carrier(self) -> EasyPostCarrier:
        """EasyPost without the breaker."""
        api = EasyPostApi(lambda: KEY, lambda: None, Transport(), self.fake.url)
        return EasyPostCarrier(api, Bookings(self.shop.table), Terms(services_of(SERVICES), WAREHOUSE))

    def shop_carrier(self) -> Carrier:
        """As the shop calls it, through its circuit."""
        return wiring.ports().carrier(self.shop.now)

    def confirm(self, **changes: Any) -> list[str]:
        return self.shop.confirm(**({"delivery": CHOSEN} | changes))

    def sell(self, **changes: Any) -> list[str]:
        """A confirmed and paid order. Returns the messages that the queue must deliver again."""
        return [*self.confirm(**changes), *self.shop.pay()]

    def shipment(self) -> Shipment:
        found = self.shop.store.load(SHIPMENT).shipment
        assert found is not None
        return found

    def hear(self, body: bytes, told: str | None = None) -> int:
        headers = {"X-Hmac-Signature": signature(body) if told is None else told}
        return self.shop.call("POST", WEBHOOK, body=body.decode(), headers=headers)[0]

    def scan(self, status: str, number: int = 1, **changes: Any) -> int:
        """The carrier scans the only parcel, and EasyPost reports it."""
        parcel_id = self.fake.only()["id"]
        self.fake.move(parcel_id, status, **changes)
        return self.hear(self.fake.event(parcel_id, number=number))

    def report(self, **told: Any) -> tuple[int, Any]:
        """A member of staff reports."""
        path = f"/api/shipments/{SHIPMENT}/reports"
        return self.shop.call("POST", path, body=json.dumps(told), user="staff-1", role="admin")

    def to_send(self) -> list[str]:
        _, page = self.shop.call("GET", "/api/shipments", query={"list": "to_send"}, user="staff-1", role="admin")
        return [row["shipment_id"] for row in page["items"]]

    def wait(self, time: timedelta) -> None:
        self.shop.now += time
