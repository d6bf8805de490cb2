"""From the cart to the order: the addresses first, then delivery, totals and card. Each step is a form.

The API keeps the checkout, and each page of it has a quote. What the shopper agrees to is ordered by that quote, so it
is one order however often the form is sent. A quote that no longer holds is shown with each difference, and a new one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import Annotated, Any
from urllib.parse import quote
from uuid import uuid4

from pydantic import ConfigDict, Field, ValidationError, model_validator

from mercato.addresses import region_of, rules_of
from mercato.countries import CODES
from mercato.ids import derived_id, fingerprint
from mercato.languages import preferred
from mercato.phone_number import InvalidNumber, read_number
from pages import Form, InvalidForm, Page, Redirect, Refused, Unavailable, Visit
from pages.app import messages_by_field
from pages.countries import NAMES
from pages.receipt import receipt_of
from pages.view import address_lines
from pages.visitor import LogInFirst, Part, part, path
from storefront import cart, differences, guest_order
from storefront.cards import STRIPE_POLICY, cards_of
from storefront.pages import pages
from storefront.wiring import ports

_NOTICES = {
    "over": "Your checkout was over, so it begins again with what is in your cart.",
    "not-reminded": "The reminder of your cart could not be noted. Change the address to try again, or just go on.",
    "still-reminded": "The reminder of your cart could not be taken back. Change the address to try again.",
}
_AGREE = "Nothing is ordered yet. Please look at the total, and order again if you agree."
_ORDERED = ("quote-already-ordered", "cart-already-ordered")
_TO_AGREE_AGAIN = ("quote-changed", "quote-expired", "invalid-quote")
_CODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{2,31}")
_ABOUT_CODES = ("code-rejected", "codes-unavailable", "nothing-to-pay", "too-many-codes")
_FIELDS = ("name", "company", "line1", "line2", "city", "region", "postcode", "country", "phone")
_KEPT = ("payment_token", "sms", "sms_phone", "code")
_BILLING = "billing_"  # before the name of a field of the billing address
_BILLING_FIELDS = tuple(_BILLING + name for name in _FIELDS)
_EMPTY = dict.fromkeys((*_FIELDS, *_BILLING_FIELDS, "email"), "") | {"bill_to": "same", "remind": ""}


class BillTo(StrEnum):
    """Where the invoice goes: to the delivery address, or to one of its own."""

    SAME = "same"
    OTHER = "other"


class Address(Form):
    name: Annotated[str, Field(min_length=1, max_length=100)]
    company: Annotated[str, Field(max_length=100)] = ""
    line1: Annotated[str, Field(min_length=1, max_length=100)]
    line2: Annotated[str, Field(max_length=100)] = ""
    city: Annotated[str, Field(min_length=1, max_length=100)]
    region: Annotated[str, Field(max_length=60)] = ""
    postcode: Annotated[str, Field(max_length=20)] = ""
    country: str
    phone: Annotated[str, Field(max_length=32)] = ""

    def for_api(self, prefix: str = "") -> dict[str, Any]:
        """Raises InvalidForm for a country that does not exist, at its field, whose name begins with `prefix`."""
        if self.country not in CODES:
            raise InvalidForm({f"{prefix}country": "Please choose a country."})
        return {name: getattr(self, name) or None for name in _FIELDS} | {"postcode": self.postcode}


class Addresses(Address):
    """The delivery address, and the billing address if it is another one: its fields begin with `billing_`. `remind` is
    a guest's wish to be reminded of the cart at the e-mail address.
    """

    email: Annotated[str, Field(max_length=254)] = ""
    billing: Address | None = None
    remind: str = ""

    @model_validator(mode="before")
    @classmethod
    def nest_billing(cls, given: dict[str, Any]) -> dict[str, Any]:
        if given.get("bill_to") != BillTo.OTHER:
            return {**given, "billing": None}
        nested = {name: given[_BILLING + name] for name in _FIELDS if _BILLING + name in given}
        return {**given, "billing": nested}

    def both_for_api(self) -> dict[str, Any]:
        """Raises InvalidForm."""
        billing = self.billing.for_api(_BILLING) if self.billing else None
        return {"shipping_address": self.for_api(), "billing_address": billing}


class Start(Addresses):
    """The cart as the shopper saw it. With `key`, the form that is sent twice opens one checkout."""

    cart_id: Annotated[str, Field(max_length=200)]
    cart_version: int
    key: Annotated[str, Field(min_length=8, max_length=64)]


class Choice(Form):
    """`typed` has the addresses as JSON, from which the checkout is opened again if it is over. `sms` is a guest's wish
    for text messages to `sms_phone`, and `code` a code that was typed and not used yet.
    """

    service: Annotated[str, Field(max_length=64)] = ""
    version: int
    typed: Annotated[str, Field(max_length=8000)] = "{}"
    payment_token: Annotated[str, Field(max_length=255)] = ""
    sms: str = ""
    sms_phone: Annotated[str, Field(max_length=40)] = ""
    code: Annotated[str, Field(max_length=32)] = ""

    def kept(self) -> dict[str, str]:
        """What is shown again of the form where only the checkout has changed."""
        return {name: value for name in _KEPT if (value := getattr(self, name))}


class Placing(Choice):
    """`chosen` is the delivery that the quote is for, and `seen` its total in minor units. Another delivery in
    `service` was chosen after the page was made.
    """

    chosen: Annotated[str, Field(max_length=64)] = ""
    seen: int | None = None
    quote: Annotated[str, Field(max_length=200_000)] = ""


class Codes(Choice):
    """The code that is added, or the one that is removed. `use` says that the button beside the code was pressed."""

    version: int = 0
    remove: Annotated[str, Field(max_length=32)] = ""
    use: str = ""


@pages.get("/checkout")
def show_start(visit: Visit) -> Page:
    """The cart, and the address of the checkout before, if there is one. A guest is asked for an e-mail address."""
    visit.notice = visit.notice or _NOTICES.get(visit.request.query.get("said", ""), "")
    loaded = part(lambda: cart.load(visit))
    earlier = part(lambda: _earlier_fields(visit)).value or {}
    visit.values = _blank() | earlier | (visit.values or _wish(visit))
    return _address_page(visit, loaded, None)


def _address_page(visit: Visit, loaded: Part, checkout: Any) -> Page:
    """The form has the fields that addresses of the chosen countries have. The billing address begins in the country
    of the delivery.
    """
    values = visit.values
    if values["bill_to"] != BillTo.OTHER or not values["billing_country"]:
        values["billing_country"] = values["country"]
    return Page(
        "checkout.html",
        {
            "cart": loaded,
            "countries": list(NAMES.items()),
            "checkout": checkout,
            "country_page": f"/checkout/{quote(checkout['checkout_id'], safe='')}/country"
            if checkout
            else "/checkout/country",
            "delivery": _place(values["country"], values["region"]),
            "billing": _place(values["billing_country"], values["billing_region"]),
            "billing_fields": _BILLING_FIELDS,
            "offers_reminder": ports().settings.cart_reminder_days > 0,
            **({} if checkout else cart.count_of(loaded)),
        },
    )


def _blank() -> dict[str, str]:
    """Returns the empty form. Its country is the shop's."""
    return _EMPTY | {"country": ports().settings.country}


def _place(country: str, region: str) -> dict[str, Any]:
    return {"rules": rules_of(country), "region": region_of(country, region)}


def _wish(visit: Visit) -> dict[str, str]:
    """The ticked box of a guest who has asked to be reminded."""
    return {"remind": "on"} if visit.visitor.wants_reminder else {}


def _earlier_fields(visit: Visit) -> dict[str, str]:
    visitor = visit.visitor
    is_known = visitor.is_logged_in or visitor.cart_id  # a guest's checkout went with the cart
    held = visitor.checkout_id if is_known else ""
    return _fields_of(visitor.get(_address_of(visit, held))) if held else {}


def _fields_of(shown: Any) -> dict[str, str]:
    """What was typed into the first form."""
    contact = {"email": shown["contact"]["email"]} if shown["contact"] else {}
    return _texts(shown["shipping_address"]) | _billing_values(shown["billing_address"]) | contact


def _billing_values(address: Any) -> dict[str, str]:
    """The billing address as the form's fields."""
    if not address:
        return {}
    return {_BILLING + name: value for name, value in _texts(address).items()} | {"bill_to": BillTo.OTHER}


def _address_of(visit: Visit, checkout_id: str) -> str:
    """Where the API has the checkout. Raises LogInFirst for who has neither an account nor a cart."""
    if visit.visitor.is_logged_in:
        return path("checkouts", checkout_id)
    return path("checkouts", "guests", _cart_of_guest(visit), checkout_id)


def _cart_of_guest(visit: Visit) -> str:
    if not visit.visitor.cart_id:
        raise LogInFirst("Your session has ended. Please log in again.")
    return visit.visitor.cart_id


def _texts(address: Any) -> dict[str, str]:
    """The fields of an address that are there."""
    return {name: str(value) for name, value in (address or {}).items() if value is not None}


def _in_a_line(address: Any) -> str:
    return ", ".join(address_lines(address)) if address else ""


@pages.post("/checkout", form=Start, again=show_start)
def start(visit: Visit, form: Start) -> Redirect:
    given = form.both_for_api() | _contact(visit, form.email)
    fields = {name: value for name, value in given.items() if value is not None}
    # What was changed in the form after a lost answer is another checkout.
    key = derived_id(form.key, fingerprint([fields, form.cart_id, form.cart_version]))
    with _told_at_its_field():
        shown = _open(visit, fields, form.cart_id, form.cart_version, key)
    said = _note_reminder(visit, form)
    # The cheapest delivery is chosen; where that fails, the shopper chooses on the next page.
    part(lambda: _choose_cheapest(visit, shown))
    visit.visitor.keep_checkout(shown["checkout_id"])
    return Redirect(f"/checkout/{shown['checkout_id']}{said}")


def _note_reminder(visit: Visit, form: Addresses) -> str:
    """Has a guest reminded of the cart, or no longer. Without the tick, nothing is asked where no form of this guest's
    had one. It holds up no checkout: the query of the next page says what could not be noted.
    """
    visitor = visit.visitor
    if visitor.is_logged_in or not ports().settings.cart_reminder_days:
        return ""
    address = path("notifications", "guests", _cart_of_guest(visit), "reminder")
    if form.remind == "on":
        wish = {"email": form.email}
        if language := preferred(visit.request.headers.get("accept-language", "")):
            wish["language"] = language
        visitor.keep_reminder(is_wanted=True)  # also where the answer is lost: then a later form takes it back
        if part(lambda: visitor.send_as_guest("PUT", address, wish)).missing:
            return "?said=not-reminded"
    elif visitor.wants_reminder:
        if part(lambda: visitor.send_as_guest("DELETE", address)).missing:
            return "?said=still-reminded"
        visitor.keep_reminder(is_wanted=False)
    return ""


class Draft(Form):
    """What is typed so far. Each field is a text, whatever it holds."""

    model_config = ConfigDict(extra="allow")

    def typed(self) -> dict[str, str]:
        return {name: str(value) for name, value in (self.model_extra or {}).items() if name in _EMPTY}


@pages.post("/checkout/country", form=Draft, again=show_start)
def follow_country(visit: Visit, form: Draft) -> Page:
    """The form again, with the fields of the chosen country."""
    visit.values = form.typed()
    return show_start(visit)


def _contact(visit: Visit, email: str) -> dict[str, Any]:
    """A guest's mails go to the contact, a customer's to the account's address. Raises InvalidForm."""
    if visit.visitor.is_logged_in:
        return {}
    if not email:
        raise InvalidForm({"email": "Please say where we write to about the order."})
    return {"contact": {"email": email}}


@contextmanager
def _told_at_its_field() -> Iterator[None]:
    """The API's findings about the contact and the billing address, at the fields of the form."""
    try:
        yield
    except Refused as refusal:
        if refusal.reply.problem == "invalid-email":
            raise InvalidForm({"email": refusal.reply.detail}) from None
        found = messages_by_field(refusal.reply, _field_of)
        if not any(field.startswith(_BILLING) for field in found):
            raise
        raise InvalidForm(found) from None


def _field_of(path: str) -> str:
    """billing_address.city is billing_city, and shipping_address.city is city."""
    parent, _, name = path.rpartition(".")
    return _BILLING + name if parent == "billing_address" else name


def _open(visit: Visit, fields: dict[str, Any], cart_id: str, cart_version: int, key: str) -> Any:
    if visit.visitor.is_logged_in:
        body = fields | {"cart": {"id": cart_id, "version": cart_version}}
        return visit.visitor.send("POST", path("checkouts"), body, key=key).body
    guests = path("checkouts", "guests", _cart_of_guest(visit))
    return visit.visitor.send("POST", guests, fields | {"cart_version": cart_version}, key=key).body


def _choose_cheapest(visit: Visit, shown: Any, wanted: str = "") -> Any:
    """The checkout with a delivery: `wanted` if it is offered, else the first one, which is the cheapest."""
    offered = [one["service"] for one in shown["services"]]
    if shown["service"] or not offered:
        return shown
    changes = {"version": shown["version"], "service": wanted if wanted in offered else offered[0]}
    return visit.visitor.send("PATCH", _address_of(visit, shown["checkout_id"]), changes).body


@pages.get("/checkout/{checkout_id}")
def show_totals(visit: Visit, checkout_id: str) -> Page | Redirect:
    visit.notice = visit.notice or _NOTICES.get(visit.request.query.get("said", ""), "")
    try:
        return _totals(visit, visit.visitor.get(_address_of(visit, checkout_id)))
    except Refused as refusal:
        if refusal.reply.status != 404:
            raise
        return Redirect("/checkout?said=over")


def _totals(visit: Visit, shown: Any, status: int = 200, changed: list[differences.Row] | None = None) -> Page:
    """The page of a checkout; of none (None) while it cannot be read: then the form can be sent again as it was."""
    settings = ports().settings
    is_stripe = settings.payment_provider == "stripe"
    return Page(
        "totals.html",
        {
            "checkout": shown,
            "changed": changed or [],
            "receipt": receipt_of(shown["charges"], shown["lines"]) if shown else None,
            "address": _in_a_line(shown["shipping_address"]) if shown else "",
            "billing": _in_a_line(shown["billing_address"]) if shown else "",
            "typed": _Typed.of(shown).model_dump_json() if shown else "",
            "is_about_codes": shown and any(one["type"] in _ABOUT_CODES for one in shown["notices"]),
            "offers_sms": settings.offers_sms,
            "is_part": "hx-request" in visit.request.headers,
            **cards_of(settings),
        },
        status=status,
        policy=STRIPE_POLICY if is_stripe else (),
    )


def show_totals_again(visit: Visit, checkout_id: str) -> Page:
    """After a form that did not succeed. A checkout that is over is opened again from the cart."""
    try:
        return _totals(visit, visit.visitor.get(_address_of(visit, checkout_id)))
    except Unavailable:
        return _totals(visit, None)
    except Refused as refusal:
        if refusal.reply.status != 404:
            raise
    visit.errors = {}
    visit.notice = f"{_NOTICES['over']} {_AGREE}"
    typed = _typed(visit.values.get("typed", ""))
    try:
        return _totals(visit, _open_again(visit, typed, visit.values.get("service", "")), status=409)
    except Refused as refusal:
        visit.errors = {"": refusal.reply.detail}
    except Unavailable as error:
        visit.errors = {"": f"{error} Please try again."}
    visit.notice = ""
    visit.values = typed.shipping_address | _billing_values(typed.billing_address)
    visit.values |= _wish(visit) | ({"email": typed.contact["email"]} if typed.contact else {})
    return show_start(visit)


class _Typed(Form):
    """What a checkout is opened with again, once it is over."""

    shipping_address: dict[str, str] = {}
    billing_address: dict[str, str] | None = None
    codes: list[str] = []
    contact: dict[str, str] | None = None

    @classmethod
    def of(cls, shown: Any) -> _Typed:
        return cls(
            shipping_address=_texts(shown["shipping_address"]),
            billing_address=_texts(shown["billing_address"]) or None,
            codes=shown["codes"],
            contact=_texts(shown["contact"]) or None,
        )


def _typed(text: str) -> _Typed:
    try:
        return _Typed.model_validate_json(text)
    except ValidationError:
        return _Typed()


def _open_again(visit: Visit, typed: _Typed, service: str) -> Any:
    loaded = cart.load(visit) or {"cart_id": "", "version": 1}
    shown = _open(visit, typed.model_dump(exclude_none=True), loaded["cart_id"], loaded["version"], str(uuid4()))
    visit.visitor.keep_checkout(shown["checkout_id"])
    return _choose_cheapest(visit, shown, service)


@pages.post("/checkout/{checkout_id}/service", form=Choice, again=show_totals_again)
def choose_service(visit: Visit, checkout_id: str, form: Choice) -> Page:
    """The page is the answer, not a redirect, so that the chosen card stays chosen."""
    shown = _choose(visit, checkout_id, form)
    visit.values = form.kept()
    return _totals(visit, shown)


def _choose(visit: Visit, checkout_id: str, form: Choice) -> Any:
    address = _address_of(visit, checkout_id)
    changes = {"version": form.version, "service": form.service or None}
    try:
        return visit.visitor.send("PATCH", address, changes).body
    except Refused as refusal:
        if refusal.reply.problem != "checkout-changed":
            raise
    # Another tab, or this form before, has changed the checkout: the last choice holds.
    shown = visit.visitor.get(address)
    if shown["service"] == form.service:
        return shown
    return visit.visitor.send("PATCH", address, changes | {"version": shown["version"]}).body


@pages.post("/checkout/{checkout_id}", form=Placing, again=show_totals_again)
def place_order(visit: Visit, checkout_id: str, form: Placing) -> Page | Redirect:
    if form.code:
        shown = _change_codes(visit, checkout_id, form.service, add=form.code)
        visit.values = form.kept() | {"code": ""}
        visit.notice = f"The code {form.code.upper()} is used, and the total is now with it. {_AGREE}"
        return _totals(visit, shown, status=409)
    if form.service != form.chosen:
        shown = _choose(visit, checkout_id, form)
        visit.values = form.kept()
        visit.notice = f"The total is now with the delivery that you chose. {_AGREE}"
        return _totals(visit, shown, status=409)
    if not form.quote:
        raise InvalidForm({"service": "Please choose a delivery, and look at the total."})
    if not form.payment_token:
        raise InvalidForm({"payment_token": "Please say how you pay."})
    number = _number_of(visit, form)
    try:
        return _order(visit, {"quote": form.quote, "payment_token": form.payment_token}, number)
    except Refused as refusal:
        problem, body = refusal.reply.problem, refusal.reply.body
        if problem in _ORDERED:
            return _ordered_before(visit, body["order_id"])
        if problem in _TO_AGREE_AGAIN:
            return _ask_again(visit, checkout_id, form, refusal)
        raise


def _number_of(visit: Visit, form: Choice) -> str:
    """The number to which a guest wants text messages; empty for none. Raises InvalidForm."""
    if form.sms != "on" or visit.visitor.is_logged_in or not ports().settings.offers_sms:
        return ""
    try:
        return read_number(form.sms_phone)
    except InvalidNumber as refused:
        raise InvalidForm({"sms_phone": str(refused)}) from None


def _order(visit: Visit, quoted: dict[str, str], number: str) -> Redirect:
    wish: dict[str, Any] = quoted | {"waits_for_buyer": True}
    language = preferred(visit.request.headers.get("accept-language", ""))
    if language:
        wish["language"] = language
    if visit.visitor.is_logged_in:
        reply = visit.visitor.send("POST", path("orders", "quoted"), wish)
        address = f"/orders/{reply.body['order_id']}"
    else:
        reply = visit.visitor.send("POST", path("orders", "guests"), wish | {"cart_id": _cart_of_guest(visit)})
        visit.visitor.keep_order(reply.body["token"])
        address = guest_order.HERE
        if number and not guest_order.text_to(visit, reply.body["token"], number):
            return Redirect(f"{address}?said=untexted")
    return Redirect(f"{address}?said={'once' if reply.was_replayed else 'placed'}")


def _ordered_before(visit: Visit, order_id: str) -> Redirect:
    """A guest sees the order here if this browser has its link, and else is told that the link was mailed."""
    if visit.visitor.is_logged_in:
        return Redirect(f"/orders/{order_id}?said=once")
    if guest_order.is_known(visit, order_id):
        return Redirect(f"{guest_order.HERE}?said=once")
    visit.visitor.forget_order()
    return Redirect(f"{guest_order.HERE}?said=mailed")


def _ask_again(visit: Visit, checkout_id: str, form: Placing, refusal: Refused) -> Page:
    """The checkout at the prices of now, and what was different."""
    visit.values = form.model_dump(mode="json", include={"payment_token", "service", "typed"})
    visit.values |= form.kept()
    visit.errors = {"": f"{refusal.reply.detail} {_AGREE}"}
    page = show_totals_again(visit, checkout_id)
    shown = page.values["checkout"]
    changed = differences.rows_of(refusal.reply.body.get("differences", []), shown, form.seen) if shown else []
    return Page(page.template, {**page.values, "changed": changed}, 409, page.policy)


@pages.post("/checkout/{checkout_id}/codes", form=Codes, again=show_totals_again)
def change_codes(visit: Visit, checkout_id: str, form: Codes) -> Page:
    """Adds a code to those of the checkout, or removes one. Sent twice, it changes nothing the second time. The page is
    the answer, not a redirect, so that all that was typed stays.
    """
    if not (form.remove or form.code or form.use):  # the Enter key in another field of the form
        return _shown_with(visit, form, visit.visitor.get(_address_of(visit, checkout_id)))
    if form.remove:
        shown = _change_codes(visit, checkout_id, form.service, remove=form.remove)
        visit.notice = f"The code {form.remove} is not used any more."
        return _shown_with(visit, form, shown)
    shown = _change_codes(visit, checkout_id, form.service, add=form.code)
    visit.notice = f"The code {form.code.upper()} is used."
    return _shown_with(visit, form, shown, code="")


def _shown_with(visit: Visit, form: Choice, shown: Any, **changes: str) -> Page:
    visit.values = form.kept() | changes
    return _totals(visit, shown)


def _change_codes(visit: Visit, checkout_id: str, service: str, *, add: str = "", remove: str = "") -> Any:
    """The checkout with the code, or without it, and with the delivery of the form. Raises InvalidForm."""
    shown = visit.visitor.get(_address_of(visit, checkout_id))
    if not (remove or _CODE.fullmatch(add)):
        raise InvalidForm({"code": "A code has letters, digits and hyphens, such as AUTUMN-10."})
    changes = {"version": shown["version"]}
    changes["codes"] = [code for code in shown["codes"] if code != remove] + [add.upper()] * (not remove)
    if service != shown["service"] and service in [one["service"] for one in shown["services"]]:
        changes["service"] = service
    try:
        return visit.visitor.send("PATCH", _address_of(visit, checkout_id), changes).body
    except Refused as refusal:
        if refusal.reply.problem not in _ABOUT_CODES:
            raise
        raise InvalidForm({"code": refusal.reply.detail}, refusal.reply) from None


@pages.get("/checkout/{checkout_id}/address")
def show_address(visit: Visit, checkout_id: str) -> Page | Redirect:
    try:
        return _address(visit, visit.visitor.get(_address_of(visit, checkout_id)))
    except Refused as refusal:
        if refusal.reply.status != 404:
            raise
        return Redirect("/checkout?said=over")


def _address(visit: Visit, shown: Any) -> Page:
    visit.values = _blank() | _fields_of(shown) | (visit.values or _wish(visit))
    return _address_page(visit, Part(), shown)


def show_address_again(visit: Visit, checkout_id: str) -> Page:
    """Where the checkout is over or cannot be read, what was typed begins a new one."""
    shown = part(lambda: visit.visitor.get(_address_of(visit, checkout_id))).value
    return _address(visit, shown) if shown else show_start(visit)


@pages.post("/checkout/{checkout_id}/country", form=Draft, again=show_address_again)
def follow_country_of(visit: Visit, checkout_id: str, form: Draft) -> Page:
    visit.values = form.typed()
    return show_address_again(visit, checkout_id)


class Move(Addresses):
    """`service` is the delivery that was chosen for the address before."""

    version: int
    service: Annotated[str, Field(max_length=64)] = ""


@pages.post("/checkout/{checkout_id}/address", form=Move, again=show_address_again)
def change_address(visit: Visit, checkout_id: str, form: Move) -> Redirect:
    """Other places have other deliveries, so the delivery is chosen again: the same one where it is offered."""
    changes = form.both_for_api() | {"version": form.version, "service": None}
    with _told_at_its_field():
        changed = changes | _contact(visit, form.email)
        shown = visit.visitor.send("PATCH", _address_of(visit, checkout_id), changed).body
    said = _note_reminder(visit, form)
    part(lambda: _choose_cheapest(visit, shown, form.service))
    return Redirect(f"/checkout/{checkout_id}{said}")
