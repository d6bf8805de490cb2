"""Shipments over HTTP: quotes for anyone, a shipment for its owner, lists, reports and rates for staff, webhooks for
the carrier.
"""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field

from mercato.clock import rfc3339, utc_now
from mercato.errors import NotFound
from mercato.http import (
    ADMIN,
    CUSTOMER,
    PUBLIC,
    UNLIMITED,
    WATCH,
    App,
    Body,
    Cursor,
    NoContent,
    Query,
    SignedBody,
    View,
    Webhook,
)
from mercato.http.auth import Caller
from mercato.http.health import table_and_queue
from mercato.text import Exact, Text
from shipping import sandbox, usecases
from shipping.domain import PAGE, Progress, Shipment, Status
from shipping.easypost import reports
from shipping.easypost.reports import NAME as EASYPOST
from shipping.easypost.reports import EasyPostEvent
from shipping.quote_views import ChangeRates, QuoteRequest, Quotes, RatesQuery, RateTableView
from shipping.rates import RateTable, price_parcel
from shipping.store import ToDo
from shipping.wiring import ports

app = App("shipping", health=table_and_queue)


class Reported(StrEnum):
    """The statuses that a carrier may report of a parcel."""

    DISPATCHED = "dispatched"
    IN_TRANSIT = "in_transit"
    DELIVERED = "delivered"
    FAILED = "failed"


class CarrierReport(Body):
    shipment_id: Annotated[str, Exact(), Field(min_length=1, max_length=64)]
    tracking_number: Annotated[str, Text(64)]
    status: Reported
    reason: Annotated[str, Text(500)] | None = None


class StaffReport(Body):
    """`stop` is how far the parcel is. `carrier` is who took it; a dispatch needs it, unless the parcel has a label,
    whose carrier and number it then has. `tracking_url` is the carrier's page about it, for the customer. `reason` is
    why it failed.
    """

    stop: Reported
    carrier: Annotated[str, Text(60)] = ""
    tracking_number: Annotated[str, Text(64)] = ""
    tracking_url: (
        Annotated[str, Exact(), Field(pattern=PAGE, examples=["https://track.example/RM123456789GB"])] | None
    ) = None
    reason: Annotated[str, Text(500)] | None = None


class ReportTaken(View):
    shipment_id: str
    status: str


class LineView(View):
    product_id: str
    sku: str
    name: str
    quantity: int


class AddressView(View):
    """`postcode` is empty where the country has none."""

    name: str
    company: str | None
    line1: str
    line2: str | None
    city: str
    region: str | None
    postcode: str
    country: str
    phone: str | None


class ShipmentsQuery(Query):
    """`list` is what is to be done with the parcels; `order_id` finds the parcel of one order instead."""

    list: ToDo = ToDo.GIVEN_UP
    order_id: Annotated[str, Exact(), Field(max_length=64)] = ""
    limit: Annotated[int, Field(ge=1, le=100)] = 50
    cursor: Cursor | None = None


class ShipmentRow(View):
    """`awaits` is what the parcel waits for before the carrier takes it: the order's confirmation, its payment, the
    carrier. `since` is when it got its status, and `order_number` the one for people; both are null before the
    confirmation. `has_left`: the carrier had it, so its goods can only come back undelivered or be lost; otherwise the
    order can be cancelled.
    """

    shipment_id: str
    order_id: str
    order_number: str | None
    status: str
    awaits: list[str]
    carrier: str | None
    tracking_number: str | None
    failure: str | None
    since: datetime | None
    has_left: bool

    @classmethod
    def of(cls, found: Shipment) -> Self:
        names = cls.model_fields.keys() - {"awaits", "since"}
        since = found.history[-1].at if found.history else None
        return cls(**{name: getattr(found, name) for name in names}, awaits=list(found.awaits), since=since)


class ShipmentPage(View):
    items: list[ShipmentRow]
    next_cursor: str | None


class StopView(View):
    at: str
    status: str


class ShipmentView(View):
    """`tracking_url` is the carrier's page about the parcel. `label_url` is where the label is, and `refusal` is why
    the carrier's system made none; staff alone sees both.
    """

    shipment_id: str
    order_id: str
    order_number: str | None
    status: str
    carrier: str | None
    tracking_number: str | None
    failure: str | None
    tracking_url: str | None
    label_url: str | None
    refusal: str | None
    lines: list[LineView]
    shipping_address: AddressView | None
    timeline: list[StopView]

    @classmethod
    def of(cls, found: Shipment, *, for_staff: bool) -> Self:
        return cls(
            shipment_id=found.shipment_id,
            order_id=found.order_id,
            order_number=found.order_number,
            status=found.status,
            carrier=found.carrier,
            tracking_number=found.tracking_number,
            failure=found.failure,
            tracking_url=found.tracking_url,
            label_url=found.label_url if for_staff else None,
            refusal=found.refusal if for_staff else None,
            lines=[LineView(**vars(line)) for line in found.lines],
            shipping_address=AddressView(**vars(found.address)) if found.address else None,
            timeline=[StopView(at=rfc3339(stop.at), status=stop.status) for stop in found.history],
        )


class GuestParcelView(View):
    """`tracking_url` is the carrier's page about the parcel."""

    shipment_id: str
    status: str
    carrier: str | None
    tracking_number: str | None
    tracking_url: str | None
    timeline: list[StopView]

    @classmethod
    def of(cls, found: Shipment) -> Self:
        return cls(
            shipment_id=found.shipment_id,
            status=found.status,
            carrier=found.carrier,
            tracking_number=found.tracking_number,
            tracking_url=found.tracking_url,
            timeline=[StopView(at=rfc3339(stop.at), status=stop.status) for stop in found.history],
        )


@app.post("/api/shipments/quotes", role=PUBLIC)
def quote_shipping(wanted: QuoteRequest) -> Quotes:
    """What the parcel costs by each service that takes it, the cheapest first, from the table of rates."""
    table = ports().rates.current()
    return Quotes.of(price_parcel(table, wanted.as_parcel()), table.version)


@app.get("/api/shipments/rates", role=ADMIN, limit=WATCH)
def show_rates(query: RatesQuery) -> RateTableView:
    return RateTableView.of(usecases.find_rates(query.version, ports().rates), ports().api_settings.country)


@app.put("/api/shipments/rates", role=ADMIN)
def change_rates(table: ChangeRates) -> RateTableView:
    """Replaces all shipping rates. Quotes of checkouts that have other prices are refused from now on."""
    wanted = RateTable(
        version=table.version + 1, currency=table.currency, zones=tuple(table.zones), changed_at=utc_now()
    )
    shop = ports().api_settings
    return RateTableView.of(usecases.change_rates(wanted, shop.currency, ports().rates), shop.country)


@app.get("/api/shipments", role=ADMIN, limit=WATCH)
def list_shipments(query: ShipmentsQuery) -> ShipmentPage:
    """Lists the parcels that the carrier has given up and that need staff, or those that staff is to send, the longest
    wait first; or the order's parcel, also before it is booked. Of an order that is neither confirmed nor paid, there
    is none.
    """
    if query.order_id:
        found = ports().shipments.load(usecases.shipment_id_of(query.order_id)).shipment
        return ShipmentPage(items=[ShipmentRow.of(found)] if found else [], next_cursor=None)
    shipments, next_cursor = ports().shipments.list_for_staff(query.list, query.limit, query.cursor)
    return ShipmentPage(items=[ShipmentRow.of(shipment) for shipment in shipments], next_cursor=next_cursor)


@app.get("/api/shipments/guests/{shipment_id}", role=PUBLIC, capability="shipment_id", limit=WATCH)
def show_guest_parcel(shipment_id: str) -> GuestParcelView:
    """Shows where a guest's parcel is, without address and goods. The order of the guest's link states the parcel's id.
    The parcel of an account is not found.
    """
    return GuestParcelView.of(usecases.show_guest_shipment(shipment_id, shipments=ports().shipments))


@app.get("/api/shipments/{shipment_id}", role=CUSTOMER, limit=WATCH)
def show_shipment(shipment_id: str, caller: Caller) -> ShipmentView:
    found = usecases.show_shipment(shipment_id, caller.user_id, is_admin=caller.is_admin, shipments=ports().shipments)
    return ShipmentView.of(found, for_staff=caller.is_admin)


@app.post("/api/shipments/{shipment_id}/reports", role=ADMIN)
def report_on_shipment(shipment_id: str, told: StaffReport) -> ShipmentView:
    """Reports on a parcel that staff sends: it is dispatched, in transit, delivered, or failed. Idempotent: a report of
    a stop that the parcel has passed changes nothing.
    """
    progress = Progress(shipment_id, Status(told.stop), told.tracking_number, told.reason, told.tracking_url)
    found = usecases.report_by_hand(progress, told.carrier, shipments=ports().shipments, now=utc_now())
    return ShipmentView.of(found, for_staff=True)


@app.post("/api/shipments/webhooks/sandbox", role=PUBLIC, limit=UNLIMITED)  # signed
def take_report(message: Webhook[CarrierReport]) -> ReportTaken:
    """The signature covers the raw bytes of the body and is checked before the body is read."""
    now = utc_now()
    report = message.verified(_secret_of(sandbox.NAME, now), now)
    progress = Progress(report.shipment_id, Status(report.status), report.tracking_number, report.reason)
    shipment = usecases.record_progress(progress, sandbox.NAME, shipments=ports().shipments, now=now)
    return ReportTaken(shipment_id=shipment.shipment_id, status=shipment.status)


@app.post("/api/shipments/webhooks/easypost", role=PUBLIC, limit=UNLIMITED)  # signed
def hear_easypost(message: SignedBody[EasyPostEvent]) -> NoContent:
    """The signature covers the raw bytes of the body and is checked before the body is read. It signs no time: a replay
    changes nothing, since a parcel moves forward only.
    """
    now = utc_now()
    secret = _secret_of(EASYPOST, now)
    event = message.verified_by(lambda headers, body: reports.verify(secret, headers, body))
    if news := reports.news_of(event):
        parcel_id, tracker = news.parcel_id, news.tracker
        usecases.hear_of_parcel(parcel_id, lambda ours: reports.progress_of(ours, tracker), EASYPOST, ports(), now)
    return NoContent()


def _secret_of(sender: str, now: datetime) -> str:
    """Of a carrier with webhooks, only the chosen one is heard."""
    if (sender == EASYPOST) is not (ports().api_settings.carrier == EASYPOST):
        raise NotFound("This shop does not use that carrier.")
    return ports().webhook_secret.read(now)


handler = app.handler
