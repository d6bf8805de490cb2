"""What the shop has told the customer, what the customer waits for, and on which channels the shop may write."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any
from urllib.parse import quote, urlencode

from pydantic import Field

from pages import Form, FormInList, InvalidForm, Page, Redirect, Refused, Visit
from pages.app import values_of
from pages.visitor import Part, next_page, part, path, together
from storefront.catalogue import show_product
from storefront.pages import pages

_NOTICES = {"waiting": "We will tell you as soon as it is back.", "kept": "Your switches are kept."}


# The kinds of mails that have a switch, in the customer's words. A newer kind has none here yet.
KINDS = {
    "order_shipped": "orders that are on their way",
    "order_delivered": "orders that have arrived",
    "back_in_stock": "products that are back in stock",
    "abandoned_cart": "goods left in the cart",
}


class Preferences(Form):
    """A box that is not checked is not sent. `switches` are the kinds whose boxes for mails were shown, and
    `sms_switches` those whose boxes for text messages were. `phone` is missing where the shop sends none.
    """

    email: str = ""
    kinds: list[str] = []
    switches: list[str] = []
    sms: list[str] = []
    sms_switches: list[str] = []
    phone: Annotated[str, Field(max_length=40)] | None = None

    def for_api(self) -> dict[str, Any]:
        """Raises InvalidForm where text messages are to go to no number."""
        number = None if self.phone is None else self.phone.strip()
        if number == "" and self.sms:
            raise InvalidForm({"phone": "Please give a number, or take the ticks for text messages away."})
        kinds: list[dict[str, Any]] = [{"kind": kind, "email": kind in self.kinds} for kind in self.switches]
        for switch in kinds:
            if switch["kind"] in self.sms_switches:
                switch["sms"] = switch["kind"] in self.sms
        return {"email": self.email == "on", "kinds": kinds} | ({} if number is None else {"phone": number})


def as_ticked(visit: Visit, preferences: Part) -> Part:
    """The switches as they were sent, where the form is shown again."""
    if not preferences.value or "switches" not in visit.values:
        return preferences
    sent = {name: values_of(visit, name) for name in ("kinds", "switches", "sms", "sms_switches")}
    kinds = []
    for one in preferences.value["kinds"]:
        kind = one["kind"]
        email = kind in sent["kinds"] if kind in sent["switches"] else one["email"]
        changed = {"sms": kind in sent["sms"]} if kind in sent["sms_switches"] else {}
        kinds.append(one | {"email": email} | changed)
    return Part(preferences.value | {"email": visit.values.get("email") == "on", "kinds": kinds})


@contextmanager
def told_at_the_number() -> Iterator[None]:
    """What the API finds wrong with the number, at its field."""
    try:
        yield
    except Refused as refusal:
        if refusal.reply.problem != "invalid-number":
            raise
        raise InvalidForm({"phone": refusal.reply.detail}, refusal.reply) from None


@pages.get("/notices")
def show_notices(visit: Visit) -> Page:
    ask, cursor = visit.visitor.get, visit.request.query.get("cursor", "")
    notices, preferences, wishes = together(
        lambda: ask(path("notifications", limit=20, cursor=cursor)),
        lambda: part(lambda: ask(path("notifications", "preferences"))),
        lambda: part(lambda: ask(path("notifications", "wishes"))),
    )
    preferences = as_ticked(visit, preferences)
    visit.notice = visit.notice or _NOTICES.get(visit.request.query.get("said", ""), "")
    values = {"notices": notices, "cursor": cursor, "preferences": preferences, "wishes": wishes, "words": KINDS}
    return Page("notices.html", values)


@pages.post("/p/{product_id}/wish", again=show_product)
def wish_for(visit: Visit, product_id: str) -> Redirect:
    """Asks to be told when a product that is sold out is back. If it is back already, says so."""
    product_page = f"/p/{quote(product_id, safe='')}"
    if not visit.visitor.is_logged_in:
        return Redirect(f"/login?{urlencode({'back': product_page})}")
    try:
        visit.visitor.send("PUT", path("notifications", "wishes", product_id))
    except Refused as refusal:
        if refusal.reply.problem != "in-stock":
            raise
        return Redirect(f"{product_page}?said=back")
    return Redirect("/notices?said=waiting")


@pages.post("/wishes/{product_id}/drop")
def drop_wish(visit: Visit, product_id: str) -> Redirect:
    visit.visitor.send("DELETE", path("notifications", "wishes", product_id))
    return Redirect("/notices")


@pages.post("/notices/preferences", form=Preferences, again=show_notices)
def change_preferences(visit: Visit, form: Preferences) -> Redirect:
    with told_at_the_number():
        visit.visitor.send("PUT", path("notifications", "preferences"), form.for_api())
    return Redirect("/notices?said=kept")


@pages.post("/notices/{notification_id}/read", form=FormInList)
def mark_read(visit: Visit, notification_id: str, form: FormInList) -> Redirect:
    visit.visitor.send("POST", path("notifications", notification_id, "read"))
    return Redirect(next_page("/notices", form.cursor) or "/notices")
