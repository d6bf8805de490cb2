"""EasyPost, an aggregator of carriers: it sells the label of a parcel, and reports where the parcel is.

A parcel is a Shipment of EasyPost's, which costs nothing until its label is bought. Its id is stored before the label
is bought, and EasyPost sells one label for it at most. So a call whose answer was lost is looked up by that id before
the label is bought again. A repeated creation leaves a Shipment without a label.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, NoReturn

from mercato.clock import utc_now
from mercato.dataclass import dataclass
from mercato.telemetry.logs import log
from shipping.bookings import Bookings
from shipping.domain import PAGE, Address, AlreadyDispatched, Booking, BookingRefused, Progress, Shipment
from shipping.easypost.api import CarrierTimeout, EasyPostApi, NotShown, Parcel, Rate, Refused
from shipping.easypost.reports import HAS_LEFT, NAME, progress_of

_VOIDED = ("submitted", "refunded", "not_applicable")  # the last one: the carrier charges for scanned parcels alone
_REJECTED = "rejected"
_SHIPPED = "SHIPMENT.REFUND.UNAVAILABLE"
# EasyPost may not know a new parcel for a moment. One that it still refuses then is told to staff, before the queue
# gives the message up.
_PATIENCE = timedelta(minutes=5)
_NANOGRAMS_IN_A_TENTH_OF_AN_OUNCE = 2_834_952_312

# fmt: off
_EU_CUSTOMS = frozenset({  # between them no parcel needs a customs form
    "AT", "BE", "BG", "CY", "CZ", "DE", "DK", "EE", "ES", "FI", "FR", "GR", "HR", "HU", "IE", "IT", "LT", "LU", "LV",
    "MC", "MT", "NL", "PL", "PT", "RO", "SE", "SI", "SK",
})
# fmt: on

Services = Mapping[str, Sequence[tuple[str, str]]]


@dataclass(frozen=True)
class Terms:
    """`services` has for each of the shop's delivery services EasyPost's (carrier, service), the preferred one first.
    `address_id` is the warehouse's address at EasyPost.
    """

    services: Services
    address_id: str


class EasyPostCarrier:
    name = NAME
    is_by_hand = False

    def __init__(self, api: EasyPostApi, bookings: Bookings, terms: Terms) -> None:
        self._api = api
        self._bookings = bookings
        self._terms = terms

    def book(self, shipment: Shipment, booking_key: str) -> Booking | None:
        known = self._bookings.find(booking_key)
        if known is None:
            parcel = self._create(shipment, booking_key)
            known = self._bookings.begin(booking_key, shipment.shipment_id, parcel.id)
            if known.parcel_id == parcel.id and not known.is_cancelled:
                return self._buy(parcel.id, self._choose(shipment, parcel.rates, parcel))
        if known.is_cancelled:
            return None
        try:
            found = self._api.find(known.parcel_id)
            rates = [] if found.postage_label else self._api.rate_again(found.id)
        except NotShown as error:
            if not self._is_lost(booking_key):
                raise
            raise BookingRefused(
                f"{error}. Look for its label in EasyPost's dashboard, or send it another way."
            ) from None
        return _booking(found) if found.postage_label else self._buy(found.id, self._choose(shipment, rates, found))

    def cancel(self, shipment: Shipment, booking_key: str) -> None:
        booked = self._bookings.cancel(booking_key)
        if not booked.parcel_id:
            return
        try:
            found = self._api.find(booked.parcel_id)
        except NotShown:
            if shipment.label_url or not self._is_lost(booking_key):
                raise
            log.warning("a cancelled parcel is not shown", extra={"shipment_id": shipment.shipment_id})
            return  # the shop got no label, so staff has printed none
        if found.postage_label is None or _is_voided(found, shipment):
            return
        try:
            after = self._api.refund(found.id)
        except Refused as refused:
            if refused.code == _SHIPPED:
                _raise_dispatched(shipment)
            after = self._api.find(found.id)
        if not _is_voided(after, shipment):
            raise CarrierTimeout(f"EasyPost has not said whether the label of {found.id} is void")

    def progress(self, shipment: Shipment, booking_key: str) -> Progress | None:
        booked = self._bookings.find(booking_key)
        if booked is None or not booked.parcel_id:
            return None
        tracker = self._api.find(booked.parcel_id).tracker
        return progress_of(shipment.shipment_id, tracker) if tracker else None

    def _create(self, shipment: Shipment, booking_key: str) -> Parcel:
        if shipment.address is None:
            raise BookingRefused("The recipient's address is erased.")
        if not shipment.weight_grams:
            raise BookingRefused("The order does not state its weight: give the products their weights.")
        self._wanted(shipment)
        try:
            return self._api.create(
                {
                    "reference": booking_key,
                    "to_address": _address(shipment.address),
                    "from_address": {"id": self._terms.address_id},
                    "parcel": {"weight": _ounces(shipment.weight_grams)},
                    "options": {"invoice_number": shipment.order_id},
                }
            )
        except Refused as refused:
            raise BookingRefused(f"EasyPost refuses the parcel: {refused}") from refused

    def _is_lost(self, booking_key: str) -> bool:
        """Whether EasyPost has refused the parcel for so long that it will refuse it for good."""
        now = utc_now()
        return now - self._bookings.note_unknown(booking_key, now) >= _PATIENCE

    def _wanted(self, shipment: Shipment) -> Sequence[tuple[str, str]]:
        wanted = self._terms.services.get(shipment.service or "")
        if not wanted:
            raise BookingRefused(
                f"CarrierServices names no service of EasyPost for {shipment.service or 'this order'}."
            )
        return wanted

    def _choose(self, shipment: Shipment, rates: Sequence[Rate], parcel: Parcel) -> Rate:
        _check_customs(parcel)
        offered = {(rate.carrier, rate.service): rate for rate in rates}
        wanted = self._wanted(shipment)
        for one in wanted:
            if rate := offered.get(one):
                return rate
        reasons = "; ".join(dict.fromkeys(f"{said.carrier}: {said.message}" for said in parcel.messages))
        names = " or ".join("/".join(one) for one in wanted)
        raise BookingRefused(f"EasyPost does not offer {names} for this parcel. {reasons}".strip())

    def _buy(self, parcel_id: str, rate: Rate) -> Booking:
        try:
            bought = self._api.buy(parcel_id, rate.id)
        except CarrierTimeout as error:
            return self._look(parcel_id, error)
        except Refused as refused:
            # SHIPMENT.POSTAGE.EXISTS and its like: an earlier call has bought it. A label decides, not the code.
            return self._look(parcel_id, BookingRefused(f"EasyPost sells no label: {refused}"))
        return _booking(bought)

    def _look(self, parcel_id: str, error: CarrierTimeout | BookingRefused) -> Booking:
        found = self._api.find(parcel_id)
        if found.postage_label is None:
            raise error
        return _booking(found)


def services_of(text: str) -> Services:
    """Reads `standard=USPS/GroundAdvantage|UPSDAP/Ground,express=USPS/Express`. Raises ValueError."""
    found: dict[str, list[tuple[str, str]]] = {}
    for entry in filter(None, (part.strip() for part in text.split(","))):
        code, _, names = entry.partition("=")
        pairs = [name.partition("/") for name in names.split("|")]
        if not code.strip() or not all(carrier.strip() and service.strip() for carrier, _, service in pairs):
            raise ValueError(f"{entry!r} is not of the form standard=USPS/GroundAdvantage")
        found[code.strip()] = [(carrier.strip(), service.strip()) for carrier, _, service in pairs]
    return found


def _check_customs(parcel: Parcel) -> None:
    """Raises BookingRefused for a parcel that needs a customs form: one that is sold without it is held at the border.
    The warehouse's country is the one that EasyPost knows by its id.
    """
    here, there = parcel.from_address.country, parcel.to_address.country
    if here and there and here != there and not {here, there} <= _EU_CUSTOMS:
        raise BookingRefused(
            f"A parcel from {here} to {there} needs a customs form, with the tariff code and the origin of its goods, "
            "which the shop does not know: send it another way."
        )


def _is_voided(parcel: Parcel, shipment: Shipment) -> bool:
    """Raises AlreadyDispatched where a scan of the carrier, or its refusal, shows that it has the parcel."""
    if parcel.refund_status == _REJECTED or (parcel.tracker and parcel.tracker.status in HAS_LEFT):
        _raise_dispatched(shipment)
    return parcel.refund_status in _VOIDED


def _raise_dispatched(shipment: Shipment) -> NoReturn:
    raise AlreadyDispatched(f"The carrier has the parcel of order {shipment.order_id}.")


def _booking(parcel: Parcel) -> Booking:
    if parcel.postage_label is None:
        raise CarrierTimeout(f"EasyPost's answer for {parcel.id} has no label")
    tracker, rate = parcel.tracker, parcel.selected_rate
    page = tracker.public_url if tracker else None
    return Booking(
        carrier=(tracker and tracker.carrier) or (rate and rate.carrier) or NAME,
        tracking_number=parcel.tracking_code or (tracker and tracker.tracking_code) or "",
        label_url=parcel.postage_label.label_url,
        tracking_url=page if page and re.fullmatch(PAGE, page) else None,
    )


def _address(to: Address) -> dict[str, Any]:
    return {
        "name": to.name,
        "company": to.company,
        "street1": to.line1,
        "street2": to.line2,
        "city": to.city,
        "state": to.region,
        "zip": to.postcode or None,
        "country": to.country,
        "phone": to.phone,
    }


def _ounces(grams: int) -> float:
    """In tenths of an ounce, rounded up: a carrier surcharges a parcel that is heavier than its label says."""
    return -(-grams * 10**9 // _NANOGRAMS_IN_A_TENTH_OF_AN_OUNCE) / 10
