"""The notifications table, and the only module that knows its keys.

pk=USER#<user>  sk=N#<notification id>   a notification; ids sort by time. gsi1pk=UNREAD#<user>, gsi1sk=<id> until read
pk=USER#<user>  sk=SMS#<notification id> the text message of a notification, with a state and a claim of its own
pk=USER#<user>  sk=CONTACT               e-mail address as registered; name as of name_sequence, the highest so far
pk=USER#<user>  sk=PREFERENCES           the switch of all mails that can be switched off, and one for each such kind;
                                         the number for text messages, and a switch for each kind of them
pk=USER#<user>  sk=UNREAD                the unread count; changes in the transactions that add and read notifications.
                                         The only item of a closed account, with closed_at

A guest who waits for a product is the user of one wish (domain.reader_of_wish), and one who wants to be reminded of a
cart the user of that cart (domain.reader_of_cart). Their items expire.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from mercato.clock import epoch, rfc3339
from mercato.dataclass import dataclass
from mercato.events import EventModel, inbox, outbox
from mercato.languages import Language, known
from mercato.store import dynamo
from mercato.store.attributes import Item
from mercato.store.cursor import decode_cursor, encode_cursor
from mercato.store.dynamo import ConditionFailed, KeyRange, Table, Write
from mercato.store.expiry import NAMES
from notifications.domain import (
    BY_SMS,
    SWITCHABLE,
    Channel,
    Claim,
    Contact,
    Kind,
    Notification,
    NotificationNotFound,
    NumberMissing,
    Preferences,
    ReaderGone,
    Status,
    Switches,
    is_of_one_message,
)
from notifications.events import NotificationFailed, NotificationSent

_NAMES = {"#status": "status"}
_CLOSED_FOR = timedelta(days=365)  # longer than the cart or the wish of which a reader of one message was told
_OPEN = "attribute_not_exists(closed_at)"  # the account is open: a condition on its UNREAD item


class NotWanted(Exception):
    """The reader has switched off the messages of this kind, changed the number, or closed the account."""


@dataclass(frozen=True)
class Listed:
    items: list[Notification]
    next_cursor: str | None
    unread_count: int


class NotificationStore:
    def __init__(self, table: Table) -> None:
        self._table = table

    def find_reader(self, user_id: str) -> tuple[Contact | None, Preferences]:
        """Raises ReaderGone for a closed account."""
        keys = [(_user(user_id), sk) for sk in ("CONTACT", "PREFERENCES", "UNREAD")]
        found = {item["sk"]: item for item in self._table.get_many(keys)}
        if "closed_at" in found.get("UNREAD", {}):
            raise ReaderGone
        contact = found.get("CONTACT", {})
        return (
            Contact(user_id, contact["email"], contact["name"]) if "email" in contact else None,
            _preferences(found.get("PREFERENCES", {})),
        )

    def remember(self, contact: Contact) -> None:
        """Stores the contact of a guest's order. Raises ReaderGone once it is erased."""
        is_open = dynamo.check(_user(contact.user_id), "UNREAD", _OPEN)
        try:
            self._table.transact([is_open, _remember(contact)])
        except ConditionFailed:
            raise ReaderGone from None

    def rename_contact(self, user_id: str, name: str, sequence: int) -> None:
        """Ignores a stale name. May come before the contact's e-mail address. Raises ReaderGone."""
        is_open = dynamo.check(_user(user_id), "UNREAD", _OPEN)
        renamed = dynamo.update(
            _user(user_id),
            "CONTACT",
            "SET #name = :name, name_sequence = :sequence",
            "attribute_not_exists(name_sequence) OR name_sequence < :sequence",
            names={"#name": "name"},
            values={":name": name, ":sequence": sequence},
        )
        try:
            self._table.transact([is_open, renamed])
        except ConditionFailed as failed:
            if failed.index == 0:
                raise ReaderGone from None

    def save_preferences(self, user_id: str, switches: Switches) -> None:
        """Keeps the switches of kinds that `switches` does not name. Raises ReaderGone, and NumberMissing where text
        messages are switched on without a number.
        """
        values: dict[str, bool | str] = {} if switches.email is None else {"email": switches.email}
        values |= {_flag(Channel.EMAIL, kind): is_on for kind, is_on in switches.kinds.items()}
        values |= {_flag(Channel.SMS, kind): is_on for kind, is_on in switches.sms.items()}
        if switches.phone:
            values["phone"] = switches.phone
        needs_number = any(switches.sms.values()) and not switches.phone
        if needs_number and switches.phone is not None:
            raise NumberMissing
        try:
            self._switch(
                user_id,
                values,
                condition="attribute_exists(phone)" if needs_number else None,
                removes="phone" if switches.phone == "" else "",
            )
        except ConditionFailed:
            raise NumberMissing from None

    def switch_off(self, user_id: str, kind: Kind) -> None:
        """Idempotent. Raises ReaderGone."""
        self._switch(user_id, {_flag(Channel.EMAIL, kind): False})

    def _switch(
        self, user_id: str, values: Mapping[str, bool | str], *, condition: str | None = None, removes: str = ""
    ) -> None:
        """Raises ReaderGone, and ConditionFailed where `condition` does not hold."""
        writes = [dynamo.check(_user(user_id), "UNREAD", _OPEN)]
        changes = ["SET " + ", ".join(f"{name} = :{name}" for name in values)] * bool(values)
        changes += [f"REMOVE {removes}"] * bool(removes)
        if changes:
            given = {f":{name}": value for name, value in values.items()}
            writes.append(dynamo.update(_user(user_id), "PREFERENCES", " ".join(changes), condition, values=given))
        try:
            self._table.transact(writes)
        except ConditionFailed as failed:
            if failed.index == 0:
                raise ReaderGone from None
            raise

    def add(
        self,
        notification: Notification,
        event_id: str,
        now: datetime,
        *,
        contact: Contact | None = None,
        sms: Notification | None = None,
        also: Sequence[Write] = (),
    ) -> bool:
        """Writes the notification, its text message, the unread count, the contact if it is new, and what it is to have
        `also`, once per event.

        Returns False for a duplicate event. Raises ReaderGone.
        """
        writes = self.writes_of(notification, now)
        if contact is not None:
            writes.append(_remember(contact))
        if sms is not None:
            writes.append(dynamo.put_new(_item_of_sms(sms)))
        writes += also
        try:
            return inbox.once(self._table, event_id, writes, now)
        except ConditionFailed as failed:
            if failed.index == 1:
                raise ReaderGone from None
            if failed.index != 0:
                raise
            return False  # the event was redriven after its inbox marker had expired

    def writes_of(self, notification: Notification, now: datetime) -> list[Write]:
        """The writes that add a notification. The first fails if it exists, the second if the account is closed."""
        is_open = dynamo.check(_user(notification.user_id), "UNREAD", _OPEN)  # such a wish has no list to read
        counted = is_open if is_of_one_message(notification.user_id) else _count_unread(notification.user_id, 1)
        writes = [dynamo.put_new(_item(notification)), counted]
        if notification.status is Status.SENT:
            writes.append(_announce(_sent(notification), now))
        return writes

    def get_notification(self, user_id: str, notification_id: str) -> Notification:
        item = self._table.get(_user(user_id), f"N#{notification_id}")
        if item is None:
            raise NotificationNotFound("There is no such notification.")
        return _notification(item)

    def find_sms(self, user_id: str, notification_id: str) -> Notification | None:
        item = self._table.get(_user(user_id), f"SMS#{notification_id}")
        return _notification(item) if item else None

    def claim(self, notification: Notification, to: str, claim: Claim, now: datetime) -> bool:
        """Only one attempt holds the claim until it expires. Raises NotWanted where the reader has switched the kind
        off or closed the account: the claim of a message that can be switched off is one transaction with that check.
        The claim of a text message also checks that `to` still is the reader's number.

        The client library retries the write after a lost response, so an attempt may find its own claim.
        """
        claimed = dynamo.update(
            _user(notification.user_id),
            _key(notification),
            "SET #status = :sending, claimed_until = :until, claim_id = :claim",
            "#status = :pending OR (#status = :sending AND (claimed_until <= :now OR claim_id = :claim))",
            names=_NAMES,
            values={
                ":sending": Status.SENDING,
                ":pending": Status.PENDING,
                ":until": epoch(claim.until),
                ":now": epoch(now),
                ":claim": claim.claim_id,
            },
        )
        try:
            if notification.channel is Channel.EMAIL and notification.kind not in SWITCHABLE:
                self._table.write(claimed)
            else:
                self._table.transact([claimed, *_wanted(notification, to)])
        except ConditionFailed as failed:
            if failed.index > 0:
                raise NotWanted from None
            return False
        return True

    def release(self, notification: Notification, claim: Claim) -> bool:
        """The attempt has certainly sent nothing, so the next one need not wait."""
        return self._settle(
            notification,
            "SET #status = :pending REMOVE claimed_until, claim_id",
            "#status = :sending AND claim_id = :claim",
            {":pending": Status.PENDING, ":sending": Status.SENDING, ":claim": claim.claim_id},
        )

    def mark_sent(self, notification: Notification, claim: Claim, now: datetime) -> bool:
        return self._close(notification, Status.SENT, claim, _announce(_sent(notification), now))

    def withhold(self, notification: Notification, now: datetime) -> bool:
        """Leaves a notification whose message is not to be sent in the app alone. Returns False if an attempt holds a
        claim on the message.
        """
        if notification.channel is Channel.SMS:
            return self._settle(
                notification,
                "SET #status = :withheld REMOVE claimed_until, claim_id",
                "#status = :pending OR (#status = :sending AND claimed_until <= :now)",
                {
                    ":withheld": Status.WITHHELD,
                    ":pending": Status.PENDING,
                    ":sending": Status.SENDING,
                    ":now": epoch(now),
                },
            )
        in_app = replace(notification, channel=Channel.IN_APP, status=Status.SENT)
        withheld = dynamo.update(
            _user(notification.user_id),
            _key(notification),
            "SET #status = :sent, channel = :channel REMOVE claimed_until, claim_id",
            "#status = :pending OR (#status = :sending AND claimed_until <= :now)",
            names=_NAMES,
            values={
                ":sent": in_app.status,
                ":channel": in_app.channel,
                ":pending": Status.PENDING,
                ":sending": Status.SENDING,
                ":now": epoch(now),
            },
        )
        try:
            self._table.transact([withheld, _announce(_sent(in_app), now)])
        except ConditionFailed:
            return False
        return True

    def mark_failed(self, notification: Notification, claim: Claim, reason: str, now: datetime) -> bool:
        failed = NotificationFailed(**_facts(notification), reason=reason)
        return self._close(notification, Status.FAILED, claim, _announce(failed, now))

    def list_page(self, user_id: str, *, unread: bool, limit: int, cursor: str | None) -> Listed:
        """Newest first."""
        if unread:
            start = decode_cursor(cursor, gsi1pk=f"UNREAD#{user_id}", pk=_user(user_id))
            page = self._table.query(
                f"UNREAD#{user_id}", KeyRange(forward=False), index="gsi1", limit=limit, start=start
            )
        else:
            start = decode_cursor(cursor, pk=_user(user_id))
            page = self._table.query(_user(user_id), KeyRange(prefix="N#", forward=False), limit=limit, start=start)
        count = self._table.get(_user(user_id), "UNREAD", consistent=False)
        return Listed(
            [_notification(item) for item in page.items],
            encode_cursor(page.next_key),
            count["unread"] if count else 0,
        )

    def mark_read(self, user_id: str, notification_id: str) -> None:
        """Idempotent."""
        read = dynamo.update(
            _user(user_id),
            f"N#{notification_id}",
            "SET is_read = :yes REMOVE gsi1pk, gsi1sk",
            "is_read = :no",
            values={":yes": True, ":no": False},
        )
        try:
            self._table.transact([read, _count_unread(user_id, -1)])
        except ConditionFailed as failed:
            if failed.item is None:
                raise NotificationNotFound("There is no such notification.") from None

    def close_account(self, user_id: str, now: datetime) -> None:
        """Marks the account as closed, so that nothing is written for it any more. Idempotent. The mark of a reader of
        one message expires.
        """
        closed = "SET closed_at = if_not_exists(closed_at, :now), unread = :none"
        names: dict[str, str] = {}
        values: Item = {":now": rfc3339(now), ":none": 0}
        if is_of_one_message(user_id):
            closed, names, values[":ttl"] = f"{closed}, #ttl = :ttl", dict(NAMES), epoch(now + _CLOSED_FOR)
        self._table.write(dynamo.update(_user(user_id), "UNREAD", closed, names=names, values=values))

    def erase(self, user_id: str, has_time: Callable[[], bool]) -> bool:
        """Erases everything of the user except the mark of the closed account. Idempotent and resumable.

        Returns False if time runs out before the last item.
        """
        pk = _user(user_id)
        for item in self._table.query_all(pk):
            if not has_time():
                return False
            if item["sk"] != "UNREAD":
                self._table.write(dynamo.delete(pk, item["sk"]))
        return True

    def _settle(
        self, notification: Notification, expression: str, condition: str, values: dict[str, str | int]
    ) -> bool:
        key = _user(notification.user_id), _key(notification)
        try:
            self._table.write(dynamo.update(*key, expression, condition, names=_NAMES, values=values))
        except ConditionFailed:
            return False
        return True

    def _close(self, notification: Notification, status: Status, claim: Claim, announcement: Write) -> bool:
        """Returns False if another attempt has taken over the claim; that one closes the notification."""
        close = dynamo.update(
            _user(notification.user_id),
            _key(notification),
            "SET #status = :status REMOVE claimed_until, claim_id",
            "#status = :sending AND claim_id = :claim",
            names=_NAMES,
            values={":status": status, ":sending": Status.SENDING, ":claim": claim.claim_id},
        )
        try:
            self._table.transact([close, announcement])
        except ConditionFailed:
            return False
        return True


def _user(user_id: str) -> str:
    return f"USER#{user_id}"


def _key(notification: Notification) -> str:
    return f"{'SMS' if notification.channel is Channel.SMS else 'N'}#{notification.notification_id}"


def _remember(contact: Contact) -> Write:
    """Stores the contact. Keeps a name that a later change has set."""
    return dynamo.update(
        _user(contact.user_id),
        "CONTACT",
        "SET email = :email, #name = if_not_exists(#name, :name)",
        names={"#name": "name"},
        values={":email": contact.email, ":name": contact.name},
    )


def _flag(channel: Channel, kind: Kind) -> str:
    """The attribute of a switch in the item PREFERENCES."""
    return f"{channel}_{kind}"


def _preferences(item: Item) -> Preferences:
    def switches(channel: Channel, kinds: Iterable[Kind]) -> dict[Kind, bool]:
        return {kind: item[_flag(channel, kind)] for kind in kinds if _flag(channel, kind) in item}

    return Preferences(
        email=item.get("email", True),
        kinds=switches(Channel.EMAIL, SWITCHABLE),
        sms=switches(Channel.SMS, BY_SMS),
        phone=item.get("phone", ""),
    )


def _wanted(notification: Notification, to: str) -> list[Write]:
    """The conditions that the reader has the kind switched on, and an open account."""
    user, flag = _user(notification.user_id), _flag(notification.channel, notification.kind)
    values: dict[str, str | bool] = {":yes": True}
    if notification.channel is Channel.SMS:
        is_on = f"{flag} = :yes AND phone = :to"
        values[":to"] = to
    else:
        is_on = " AND ".join(f"(attribute_not_exists({one}) OR {one} = :yes)" for one in ("email", flag))
    return [dynamo.check(user, "PREFERENCES", is_on, values=values), dynamo.check(user, "UNREAD", _OPEN)]


def _count_unread(user_id: str, by: int) -> Write:
    return dynamo.update(_user(user_id), "UNREAD", "ADD unread :by", _OPEN, values={":by": by})


def _announce(event: NotificationSent | NotificationFailed, now: datetime) -> Write:
    """The only event of its message, so its sequence is 1. A text message has a subject of its own, since the e-mail of
    the same notification has its event, too.
    """
    data: EventModel = event
    subject = event.notification_id if event.channel != Channel.SMS else f"{event.notification_id}:{Channel.SMS}"
    return outbox.record(data, service="notifications", subject=subject, sequence=1, now=now)


def _facts(notification: Notification) -> dict[str, str]:
    return {
        "notification_id": notification.notification_id,
        "user_id": notification.user_id,
        "channel": notification.channel.value,
        "kind": notification.kind.value,
    }


def _sent(notification: Notification) -> NotificationSent:
    return NotificationSent(**_facts(notification))


def _item(notification: Notification) -> Item:
    """Expires with a guest's wish, some time after the last delivery of its event."""
    expires = {"ttl": epoch(notification.created_at + inbox.KEPT)} if is_of_one_message(notification.user_id) else {}
    return expires | {
        "pk": _user(notification.user_id),
        "sk": _key(notification),
        "gsi1pk": f"UNREAD#{notification.user_id}",
        "gsi1sk": notification.notification_id,
        "kind": notification.kind,
        "channel": notification.channel,
        "status": notification.status,
        "subject": notification.subject,
        "body": notification.body,
        "order_id": notification.order_id,
        "created_at": rfc3339(notification.created_at),
        "is_read": notification.is_read,
        "language": notification.language,
    }


def _item_of_sms(sms: Notification) -> Item:
    """The number is not in it: it is read when the message is sent."""
    kept = ("pk", "sk", "kind", "channel", "status", "body", "order_id", "created_at", "language")
    return {name: value for name, value in _item(sms).items() if name in kept}


def _notification(item: Item) -> Notification:
    claimed_until = item.get("claimed_until")
    return Notification(
        notification_id=item["sk"].partition("#")[2],
        user_id=item["pk"].removeprefix("USER#"),
        kind=Kind(item["kind"]),
        channel=Channel(item["channel"]),
        status=Status(item["status"]),
        subject=item.get("subject", ""),
        body=item["body"],
        order_id=item["order_id"],
        created_at=datetime.fromisoformat(item["created_at"]),
        is_read=item.get("is_read", False),
        language=known(item.get("language")) or Language.EN,
        claimed_until=datetime.fromtimestamp(claimed_until, UTC) if claimed_until else None,
    )
