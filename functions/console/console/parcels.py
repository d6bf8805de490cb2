"""Parcels that need staff: those to send by hand, each with a page of its own, and those that were given up."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import Field

from console.pages import pages
from pages import Form, InvalidForm, Page, Redirect, Refused, Visit
from pages.visitor import next_page, part, path, together

_PAGE = re.compile(r"https://[!-~]+")
_NOTICES = {
    "dispatched": "It is on its way, and the customer is told.",
    "in_transit": "Noted.",
    "delivered": "It has arrived.",
    "failed": "It is given up. Settle its goods on the page of its order.",
}


class Report(Form):
    """`carrier` and what is about tracking are of a dispatch, `reason` is of a parcel that is given up."""

    stop: Literal["dispatched", "in_transit", "delivered", "failed"]
    carrier: Annotated[str, Field(max_length=60)] = ""
    tracking_number: Annotated[str, Field(max_length=64)] = ""
    tracking_url: Annotated[str, Field(max_length=500)] = ""
    reason: Annotated[str, Field(max_length=500)] = ""

    def for_api(self) -> dict[str, str]:
        """Raises InvalidForm."""
        if self.stop == "failed" and not self.reason:
            raise InvalidForm({"reason": "Say what happened: giving a parcel up cannot be taken back."})
        if self.tracking_url and not _PAGE.fullmatch(self.tracking_url):
            raise InvalidForm({"tracking_url": "This is no address of a page that begins with https://."})
        return {name: value for name, value in self.model_dump().items() if value}


@pages.get("/console/parcels")
def show_parcels(visit: Visit) -> Page:
    ask, cursor = visit.visitor.get, visit.request.query.get("cursor", "")
    to_send, given_up = together(
        lambda: ask(path("shipments", list="to_send", limit=50, cursor=cursor)),
        lambda: part(lambda: ask(path("shipments", limit=100))),
    )
    following = next_page("/console/parcels", to_send["next_cursor"])
    return Page("parcels.html", {"to_send": to_send["items"], "given_up": given_up, "next": following})


@pages.get("/console/parcels/{shipment_id}")
def show_parcel(visit: Visit, shipment_id: str) -> Page:
    visit.notice = visit.notice or _NOTICES.get(visit.request.query.get("said", ""), "")
    parcel: Any = visit.visitor.get(path("shipments", shipment_id))
    values = {"awaits_carrier": _awaits_carrier(visit, parcel), "labels": {"reason": "What happened"}}
    return Page("parcel.html", {"parcel": parcel} | values)


def _awaits_carrier(visit: Visit, parcel: Any) -> bool:
    """Whether the carrier's system is to take the parcel or to make its label: until then, staff cannot send it."""
    if parcel["status"] != "booked" or parcel.get("label_url"):
        return False
    rows = part(lambda: visit.visitor.get(path("shipments", order_id=parcel["order_id"]))["items"]).value
    return any(one["awaits"] == ["carrier"] for one in rows or ())


@pages.post("/console/parcels/{shipment_id}", form=Report, again=show_parcel)
def report(visit: Visit, shipment_id: str, form: Report) -> Redirect:
    try:
        visit.visitor.send("POST", path("shipments", shipment_id, "reports"), form.for_api())
    except Refused as refusal:
        if refusal.reply.problem != "no-carrier":
            raise
        raise InvalidForm({"carrier": refusal.reply.detail}, refusal.reply) from None
    return Redirect(f"/console/parcels/{shipment_id}?said={form.stop}")
