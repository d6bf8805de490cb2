"""Every item with a ttl, and why DynamoDB may delete it. Records and tasks of operators never have one."""

from __future__ import annotations

import re
from datetime import timedelta

from mercato.events import inbox, outbox
from tests.kit.template import ROOT, resources_of_type

# Each module that writes a ttl, and why its items may be deleted.
MAY_GO = {
    "functions/carts/carts/store.py": "a cart not touched for 90 days, with its guest's id; an addition's mark",
    "functions/checkout/checkout/store.py": "a checkout, a day after its last change; its order keeps what was charged",
    "functions/promotions/promotions/store.py": "how many unknown codes a customer tried in an hour, an hour later",
    "functions/ops/ops/health/store.py": "the last probe, for a day: the prober writes the next one within a minute",
    "functions/ops/ops/journal/store.py": "an event in the journal, after 14 days: facts and tables stay",
    "functions/ops/ops/scans.py": "the receipts of a walk over dead letters, which are good for ten minutes",
    "functions/orders/orders/store.py": "the mark of a cart that was ordered, longer than the cart lives",
    "functions/payments/payments/store.py": "a webhook's id, longer than a provider delivers it again",
    "functions/products/products/store.py": "the report of an import, after 90 days; the products stay",
    "functions/users/users/passwords/attempt_store.py": "failed log-ins after a day, known networks after 30 days",
    "functions/users/users/one_time_store.py": "a link in a mail, longer than it is good for",
    "functions/users/users/sessions/store.py": "a session that has expired",
    "layers/common/mercato/breaker/store.py": "a circuit that runs by itself, not used for 90 days: it is closed",
    "layers/common/mercato/events/dead_letters.py": "a message's count of failed tries, longer than its queue keeps it",
    "layers/common/mercato/store/ended_access.py": "when a user's tokens ended, after the last of them has expired",
    "layers/common/mercato/http/idempotency.py": "an answer, after the two days that a key is good for",
    "layers/common/mercato/events/inbox.py": "an event's marker, longer than the event can be delivered again",
    "layers/common/mercato/http/rate_limit.py": "a count of requests, after its window",
    "layers/common/mercato/events/outbox.py": "an event, longer than the relay's failure queue points to it",
    "functions/notifications/notifications/stops.py": "an address that gets no mails, after a year",
    "functions/notifications/notifications/progress.py": "how far an order was, longer than an event that it overtakes",
    "functions/notifications/notifications/store.py": "what a guest was told of a product or a cart",
    "functions/notifications/notifications/guest_carts.py": "a guest's wish to be reminded, and what was told",
    "functions/notifications/notifications/wishes/guest_store.py": "what a guest did not confirm in two days",
    "functions/notifications/notifications/wishes/store.py": "a guest's wish after half a year, and how an event was "
    "answered, like its marker",
    "layers/common/mercato/store/snapshots.py": "a snapshot: it is folded again from the events, which stay",
}


def test_every_item_that_expires_is_known_and_may_go() -> None:
    written = {
        str(path.relative_to(ROOT))
        for folder in ("functions", "layers")
        for path in (ROOT / folder).rglob("*.py")
        if re.search(r'"ttl":|#ttl = :ttl', path.read_text())
    }
    assert written == MAY_GO.keys()


def retention(name: str, path: str = "template.yaml") -> timedelta:
    return timedelta(seconds=resources_of_type("AWS::SQS::Queue", path)[name]["Properties"]["MessageRetentionPeriod"])


def test_an_event_outlives_every_pointer_to_it() -> None:
    assert retention("RelayFailures") < outbox.KEPT


def test_a_marker_outlives_a_queue_and_its_dead_letters() -> None:
    lives = retention("Queue", "infra/subscription.yaml") + retention("DeadLetters", "infra/subscription.yaml")
    assert lives < inbox.KEPT
