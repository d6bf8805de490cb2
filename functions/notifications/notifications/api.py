"""A customer's notifications over HTTP."""

from dataclasses import asdict
from typing import Annotated, Any, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from mercato.clock import rfc3339, utc_now
from mercato.errors import Forbidden, NotFound
from mercato.http import (
    ADMIN,
    CUSTOMER,
    PEER,
    PUBLIC,
    WATCH,
    AcceptedForMail,
    App,
    Body,
    Cursor,
    Limit,
    NoContent,
    Query,
    View,
)
from mercato.http.auth import Caller
from mercato.http.health import table_and_queue
from mercato.languages import Language
from mercato.text import EmailAddress, Exact, Phone
from mercato.text import Text as PlainText
from notifications import reminders, unsubscribing, usecases
from notifications.domain import (
    BY_SMS,
    SWITCHABLE,
    Channel,
    Kind,
    Notification,
    Preferences,
    Switches,
    is_of_cart,
    is_of_wish,
    reader_of_guest,
)
from notifications.examples import EXAMPLES, MEANINGS
from notifications.guest_carts import Told
from notifications.stops import Stop
from notifications.store import Listed
from notifications.wiring import ports
from notifications.wishes import guests
from notifications.wishes import usecases as wishing
from notifications.wishes.domain import Wish
from notifications.wording import WORDINGS, Name, Wording
from notifications.wordings import Version, preview

GUEST_WISHES = Limit("guest-wishes", requests=5)  # each is a mail to an address that may be another person's

GUEST_REMINDERS = Limit("guest-reminders", requests=10)  # a guest may go through the checkout's form a few times

app = App("notifications", health=table_and_queue)


class PeerForNobody(Forbidden):
    """A peer service asked without naming the user it acts for."""


class ListQuery(Query):
    unread: bool = False
    limit: Annotated[int, Field(ge=1, le=100)] = 20
    cursor: Cursor | None = None


class NotificationView(View):
    """`language` is that of subject and body."""

    notification_id: str
    kind: str
    subject: str
    body: str
    language: str
    order_id: str | None
    created_at: str
    read: bool
    channel: str
    status: str

    @classmethod
    def of(cls, found: Notification) -> Self:
        return cls(
            notification_id=found.notification_id,
            kind=found.kind,
            subject=found.subject,
            body=found.body,
            language=found.language,
            order_id=found.order_id,
            created_at=rfc3339(found.created_at),
            read=found.is_read,
            channel=found.channel,
            status=found.status,
        )


class NotificationPage(View):
    items: list[NotificationView]
    next_cursor: str | None
    unread_count: int

    @classmethod
    def of(cls, listed: Listed) -> Self:
        views = [NotificationView.of(found) for found in listed.items]
        return cls(items=views, next_cursor=listed.next_cursor, unread_count=listed.unread_count)


class KindSwitch(Body):
    """Without `email`, the switch of mails stays as it is, and without `sms` that of text messages."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 2})

    kind: Kind
    email: bool | None = None
    sms: bool | None = None

    @model_validator(mode="before")
    @classmethod
    def has_a_switch(cls, given: Any) -> Any:
        if isinstance(given, dict) and given.keys() == {"kind"}:
            raise ValueError("email, sms or both must be given")
        return given


class PreferencesBody(Body):
    """`kinds` has the kinds to change; the others stay as they are. `phone` is the number for text messages, with its
    country code; empty removes it, and without it, it stays, as the switch of all mails stays without `email`.
    """

    model_config = ConfigDict(json_schema_extra={"minProperties": 1})

    email: bool | None = None
    kinds: Annotated[list[KindSwitch], Field(max_length=50)] = []
    phone: Annotated[Phone, Field(examples=["+44 20 7946 0958"])] | Literal[""] | None = None

    @model_validator(mode="before")
    @classmethod
    def has_a_change(cls, given: Any) -> Any:
        if given == {}:
            raise ValueError("at least one field must be given")
        return given

    def to_switches(self) -> Switches:
        return Switches(
            email=self.email,
            kinds={switch.kind: switch.email for switch in self.kinds if switch.email is not None},
            sms={switch.kind: switch.sms for switch in self.kinds if switch.sms is not None},
            phone=self.phone,
        )


class KindView(View):
    """`email` is whether mails of this kind are sent. One that is `needed` for the order cannot be switched off.
    `sms` is null where no text message tells of this kind, else whether they are switched on.
    """

    kind: str
    needed: bool
    email: bool
    sms: bool | None


class SmsView(View):
    """Text messages: the number that they go to, in E.164 format, if there is one. `stopped` is null, or `opted_out`
    where its owner has asked the carrier for no more.
    """

    phone: str | None
    stopped: str | None


class PreferencesView(View):
    """`email` is the switch of all mails that an order can do without. `stopped` is null, or says why no mail goes to
    the address any more: `bounce` or `complaint`. Staff releases it. `sms` is null where the shop sends no text
    messages.
    """

    email: bool
    kinds: list[KindView]
    stopped: str | None
    sms: SmsView | None

    @classmethod
    def of(cls, found: Preferences, of_mail: Stop | None, of_sms: Stop | None, *, offers_sms: bool) -> Self:
        views = [
            KindView(
                kind=kind,
                needed=kind not in SWITCHABLE,
                email=found.kinds.get(kind, True),
                sms=found.sms.get(kind, False) if kind in BY_SMS and offers_sms else None,
            )
            for kind in Kind
        ]
        sms = SmsView(phone=found.phone or None, stopped=of_sms.reason if of_sms else None) if offers_sms else None
        return cls(email=found.email, kinds=views, stopped=of_mail.reason if of_mail else None, sms=sms)


class StopView(View):
    """An address that gets no mails any more, since a mail `bounce`d there for good or its owner made a `complaint`; or
    a phone number whose owner has `opted_out` of text messages. `email` is empty for a number, and `phone` null for an
    address. `detail` is SES's word for the kind.
    """

    stop_id: str
    channel: str
    email: str
    phone: str | None
    reason: str
    detail: str
    stopped_at: str

    @classmethod
    def of(cls, stop: Stop) -> Self:
        return cls(
            stop_id=stop.stop_id,
            channel=stop.channel,
            email=stop.address if stop.channel is Channel.EMAIL else "",
            phone=stop.address if stop.channel is Channel.SMS else None,
            reason=stop.reason,
            detail=stop.detail,
            stopped_at=rfc3339(stop.at),
        )


class StopPage(View):
    items: list[StopView]
    next_cursor: str | None


class StopsQuery(Query):
    limit: Annotated[int, Field(ge=1, le=100)] = 50
    cursor: Cursor | None = None


class Unsubscribed(View):
    """No mails of this kind are sent any more. The notices are still listed."""

    kind: str


class WishView(View):
    """`name` is the product's name when the customer asked."""

    product_id: str
    name: str
    asked_at: str

    @classmethod
    def of(cls, wish: Wish) -> Self:
        return cls(product_id=wish.product_id, name=wish.name, asked_at=rfc3339(wish.asked_at))


class Wishes(View):
    items: list[WishView]


class GuestWish(Body):
    """`language` is that of the mails; without it, the shop's own."""

    product_id: Annotated[str, Exact(), Field(min_length=1, max_length=200)]
    email: EmailAddress
    language: Language | None = None


class AskedView(View):
    detail: str = "We have sent a mail to this address. Please open the link in it."


class GuestWishView(View):
    """`name` is the product's name when the guest asked."""

    product_id: str
    name: str


class GuestReminder(Body):
    """`language` is that of the mail; without it, the shop's own."""

    email: EmailAddress
    language: Language | None = None


class LeftLineView(View):
    product_id: str
    name: str
    quantity: int


class LeftCartView(View):
    """Of a long cart, the first lines."""

    items: list[LeftLineView]

    @classmethod
    def of(cls, told: Told) -> Self:
        return cls(items=[LeftLineView(**asdict(line)) for line in told.lines])


class TextNotFound(NotFound):
    """There is no text of this kind, language or version."""

    def __init__(self) -> None:
        super().__init__("There is no such text.")


class TextKey(View):
    """Version 0 is the built-in text, which has no `changed_at` and no `changed_by`, the user id of the operator.
    `is_built_in` is true also of a later version with its words. `channels` are `email` and `sms`.
    """

    name: str
    language: str
    channels: list[str]
    version: int
    is_built_in: bool
    changed_at: str | None
    changed_by: str | None

    @classmethod
    def of(cls, name: Name, language: Language, found: Version) -> Self:
        built_in = WORDINGS[language][name]
        return cls(
            name=name,
            language=language,
            channels=[Channel.EMAIL, Channel.SMS] if built_in.sms else [Channel.EMAIL],
            version=found.number,
            is_built_in=found.wording == built_in,
            changed_at=rfc3339(found.at) if found.at else None,
            changed_by=found.by,
        )


class TextList(View):
    items: list[TextKey]


class TextQuery(Query):
    version: Annotated[int, Field(ge=0, le=10**8 - 1)] | None = None


class Words(Body):
    """Plain text with fields, such as {{ order }}. `sms` is empty for a kind that no text message tells of."""

    subject: Annotated[str, PlainText(200)]
    body: Annotated[str, PlainText(5000, lines=True)]
    sms: Annotated[str, PlainText(600, at_least=0, lines=True)] = ""

    def to_wording(self) -> Wording:
        return Wording(self.subject, self.body, self.sms)


class ChangeText(Words):
    """`version` is the one that was seen."""

    version: Annotated[int, Field(ge=0, le=10**8 - 2)]


class FieldView(View):
    """`meaning` is for staff, in English; `example` is the value of previews, in the text's language."""

    name: str
    meaning: str
    example: str


class TextView(View):
    """`fields` are those that the text may use, and `about_fields` tells of each. `is_built_in` is true also of a later
    version with the words of the built-in text. `changed_at` and `changed_by` tell when this version was made and by
    which user; both are null for version 0.
    """

    name: str
    language: str
    version: int
    subject: str
    body: str
    sms: str
    fields: list[str]
    about_fields: list[FieldView]
    is_built_in: bool
    changed_at: str | None
    changed_by: str | None

    @classmethod
    def of(cls, name: Name, language: Language, found: Version) -> Self:
        example = EXAMPLES[language][name]
        fields = sorted(example)
        return cls(
            name=name,
            language=language,
            version=found.number,
            fields=fields,
            about_fields=[FieldView(name=one, meaning=MEANINGS[one], example=example[one]) for one in fields],
            is_built_in=found.wording == WORDINGS[language][name],
            changed_at=rfc3339(found.at) if found.at else None,
            changed_by=found.by,
            **asdict(found.wording),
        )


class PreviewView(View):
    """`sms_parts` is the number of parts of the text message. Each part is charged."""

    subject: str
    body: str
    sms: str
    sms_parts: int


@app.get("/api/notifications", role=(CUSTOMER, PEER), limit=WATCH)
def list_notifications(query: ListQuery, caller: Caller) -> NotificationPage:
    if not caller.user_id:
        raise PeerForNobody("A peer asks on behalf of a user: X-User-Id is missing.")
    listed = usecases.list_notifications(
        caller.user_id, unread=query.unread, limit=query.limit, cursor=query.cursor, store=ports().store
    )
    return NotificationPage.of(listed)


@app.post("/api/notifications/{notification_id}/read", role=CUSTOMER)
def mark_read(notification_id: str, caller: Caller) -> NoContent:
    usecases.mark_read(caller.user_id, notification_id, store=ports().store)
    return NoContent()


@app.get("/api/notifications/preferences", role=CUSTOMER, limit=WATCH)
def read_preferences(caller: Caller) -> PreferencesView:
    return _preferences_of(caller.user_id)


@app.put("/api/notifications/preferences", role=CUSTOMER)
def set_preferences(preferences: PreferencesBody, caller: Caller) -> PreferencesView:
    """Switches mails and text messages on and off. What an order's buyer must know is mailed in any case."""
    usecases.set_preferences(caller.user_id, preferences.to_switches(), ports())
    return _preferences_of(caller.user_id)


def _preferences_of(user_id: str) -> PreferencesView:
    found = usecases.read_preferences(user_id, ports(), utc_now())
    return PreferencesView.of(*found, offers_sms=ports().settings.offers_sms)


@app.get("/api/notifications/guests/{token}/preferences", role=PUBLIC, capability="token", limit=WATCH)
def read_guests_preferences(token: str) -> PreferencesView:
    """Which messages about a guest's order are sent, by the order's link."""
    return _preferences_of(_reader_by_link(token))


@app.put("/api/notifications/guests/{token}/preferences", role=PUBLIC, capability="token")
def set_guests_preferences(token: str, preferences: PreferencesBody) -> PreferencesView:
    """Switches mails and text messages about a guest's order on and off, by the order's link. They hold for this order
    alone, and end when an account claims it: from then on the account's hold.
    """
    reader = _reader_by_link(token)
    usecases.set_preferences(reader, preferences.to_switches(), ports())
    return _preferences_of(reader)


def _reader_by_link(token: str) -> str:
    return reader_of_guest(ports().order_links.open(token))


@app.post("/api/notifications/unsubscriptions/{token}", role=PUBLIC, capability="token")
def unsubscribe(token: str) -> Unsubscribed:
    """Ends the mails of one kind, by the link in such a mail. Idempotent."""
    wish = ports().unsubscribing.read(token)
    if is_of_wish(wish.user_id):
        guests.end(wish.user_id, ports(), utc_now())
    elif is_of_cart(wish.user_id):
        reminders.end_reminders(wish.user_id, ports(), utc_now())
    else:
        unsubscribing.unsubscribe(wish, ports().store)
    return Unsubscribed(kind=wish.kind)


@app.post("/api/notifications/guest-wishes", role=PUBLIC, limit=GUEST_WISHES)
def wish_as_guest(wish: GuestWish) -> AcceptedForMail[AskedView]:
    """Asks for a mail when a product that is sold out is available again. The mail's address is to be confirmed first,
    by the link in a mail to it. The answer is the same whatever the shop knows of the address.
    """
    guests.ask(wish.email, wish.product_id, wish.language, ports(), utc_now())
    return AcceptedForMail(AskedView())


@app.post("/api/notifications/guest-wishes/{token}", role=PUBLIC, capability="token")
def confirm_guests_wish(token: str) -> GuestWishView:
    """Confirms the wish, by the link in the mail. Idempotent. The guest waits in one line with customers: those who
    asked first are told first, as many as units come in. The wish expires after half a year.
    """
    found = guests.confirm(token, ports(), utc_now())
    return GuestWishView(product_id=found.product_id, name=found.name)


@app.delete("/api/notifications/guest-wishes/{token}", role=PUBLIC, capability="token")
def decline_guests_wish(token: str) -> NoContent:
    """Ends the wish and forgets the address, by the link in the mail. Idempotent."""
    guests.decline(token, ports(), utc_now())
    return NoContent()


@app.put("/api/notifications/guests/{cart_id}/reminder", role=PUBLIC, capability="cart_id", limit=GUEST_REMINDERS)
def ask_for_reminder(cart_id: str, wish: GuestReminder) -> NoContent:
    """Asks for one reminder of a guest's cart. The mail is sent as many days after this request and the cart's last
    change as the shop has set, unless an order was placed with the address. Idempotent. The answer does not depend on
    what the shop knows of the address.
    """
    reminders.ask_for_reminder(cart_id, wish.email, wish.language, ports(), utc_now())
    return NoContent()


@app.delete("/api/notifications/guests/{cart_id}/reminder", role=PUBLIC, capability="cart_id")
def drop_reminder(cart_id: str) -> NoContent:
    """Idempotent."""
    reminders.drop_reminder(cart_id, ports())
    return NoContent()


@app.get("/api/notifications/guest-reminders/{token}", role=PUBLIC, capability="token", limit=WATCH)
def show_left_cart(token: str) -> LeftCartView:
    """What was in the cart when its guest was reminded of it, by the link in the mail."""
    return LeftCartView.of(reminders.find_left(token, ports(), utc_now()))


@app.delete("/api/notifications/guest-reminders/{token}", role=PUBLIC, capability="token")
def end_reminder(token: str) -> NoContent:
    """Ends the link of the mail and forgets its address, once its goods are in a cart again. Idempotent."""
    reminders.end_link(token, ports())
    return NoContent()


@app.get("/api/notifications/wishes", role=CUSTOMER, limit=WATCH)
def list_wishes(caller: Caller) -> Wishes:
    """Lists the products that the customer waits for, the newest wish first."""
    return Wishes(items=[WishView.of(wish) for wish in ports().wishes.list_of(caller.user_id)])


@app.put("/api/notifications/wishes/{product_id}", role=CUSTOMER)
def wish_for(product_id: str, caller: Caller) -> WishView:
    """Asks for a notification when a product that is sold out is available again.

    Idempotent. Those who asked first are told first, as many as units come in. A wish ends with its
    notification.
    """
    return WishView.of(wishing.wish_for(caller.user_id, product_id, ports(), utc_now()))


@app.delete("/api/notifications/wishes/{product_id}", role=CUSTOMER)
def drop_wish(product_id: str, caller: Caller) -> NoContent:
    """Idempotent."""
    wishing.drop_wish(caller.user_id, product_id, ports())
    return NoContent()


@app.get("/api/notifications/stops", role=ADMIN, limit=WATCH)
def list_stops(query: StopsQuery) -> StopPage:
    """Lists the addresses and numbers that get no messages, the newest first."""
    stops, cursor = ports().stops.list_page(limit=query.limit, cursor=query.cursor, now=utc_now())
    return StopPage(items=[StopView.of(stop) for stop in stops], next_cursor=cursor)


@app.delete("/api/notifications/stops/{stop_id}", role=ADMIN)
def release_stop(stop_id: str) -> NoContent:
    """Lets messages go to the address or number again, until AWS reports it once more. Idempotent."""
    ports().stops.release(stop_id, utc_now())
    return NoContent()


@app.get("/api/notifications/texts", role=ADMIN, limit=WATCH)
def list_texts() -> TextList:
    """Lists the texts that can be changed, of each kind, in each language, with the version in force."""
    return TextList(items=[TextKey.of(*key, found) for key, found in ports().wordings.currents().items()])


@app.get("/api/notifications/texts/{name}/{language}", role=ADMIN, limit=WATCH)
def show_text(name: str, language: str, query: TextQuery) -> TextView:
    """The current text, or an earlier version of it."""
    key = _text_key(name, language)
    found = ports().wordings.current(*key) if query.version is None else ports().wordings.version(*key, query.version)
    if found is None:
        raise TextNotFound
    return TextView.of(*key, found)


@app.put("/api/notifications/texts/{name}/{language}", role=ADMIN)
def change_text(name: str, language: str, text: ChangeText, caller: Caller) -> TextView:
    """Replaces the text. Messages have it within half a minute. The built-in text is version 0."""
    key = _text_key(name, language)
    found = ports().wordings.store_change(*key, text.version, text.to_wording(), caller.user_id, utc_now())
    return TextView.of(*key, found)


@app.post("/api/notifications/texts/{name}/{language}/previews", role=ADMIN)
def preview_text(name: str, language: str, text: Words) -> PreviewView:
    """The text with an example's data. Keeps nothing."""
    found, parts = preview(*_text_key(name, language), text.to_wording())
    return PreviewView(**asdict(found), sms_parts=parts)


def _text_key(name: str, language: str) -> tuple[Name, Language]:
    if name not in Name or language not in Language:
        raise TextNotFound
    return Name(name), Language(language)


handler = app.handler
