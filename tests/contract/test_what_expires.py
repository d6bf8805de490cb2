"""Every item with a ttl, and why DynamoDB may delete it. Records and tasks of operators never have one."""

from __future__ import annotations

import re
from datetime import timedelta

from mercato.events import inbox, outbox
from tests.kit import cases
from tests.kit.cases import MayGo
from tests.kit.template import ROOT, resources_of_type

# Each module of the layer that writes a ttl, and why its items may be deleted. Services have MAY_GO in their cases.py.
OF_THE_LAYER = {
    "layers/common/mercato/breaker/store.py": "a circuit that runs by itself, not used for 90 days: it is closed",
    "layers/common/mercato/events/dead_letters.py": "a message's count of failed tries, longer than its queue keeps it",
    "layers/common/mercato/store/ended_access.py": "when a user's tokens ended, after the last of them has expired",
    "layers/common/mercato/http/idempotency.py": "an answer, after the two days that a key is good for",
    "layers/common/mercato/events/inbox.py": "an event's marker, longer than the event can be delivered again",
    "layers/common/mercato/http/rate_limit.py": "a count of requests, after its window",
    "layers/common/mercato/events/outbox.py": "an event, longer than the relay's failure queue points to it",
    "layers/common/mercato/store/snapshots.py": "a snapshot: it is folded again from the events, which stay",
}


def test_every_item_that_expires_is_known_and_may_go() -> None:
    written = {
        str(path.relative_to(ROOT))
        for folder in ("functions", "layers")
        for path in (ROOT / folder).rglob("*.py")
        if re.search(r'"ttl":|#ttl = :ttl', path.read_text())
    }
    known = OF_THE_LAYER.keys() | {one.path for one in cases.collect("MAY_GO", MayGo)}
    missing = [f"{path} writes a ttl: {place_of(path)} says why its items may go" for path in sorted(written - known)]
    assert not missing, "\n".join(missing)
    assert written == known


def place_of(path: str) -> str:
    folder, service, *_ = path.split("/")
    return f"MAY_GO in {cases.file_of(service)}" if folder == "functions" else "OF_THE_LAYER in this file"


def retention(name: str, path: str = "template.yaml") -> timedelta:
    return timedelta(seconds=resources_of_type("AWS::SQS::Queue", path)[name]["Properties"]["MessageRetentionPeriod"])


def test_an_event_outlives_every_pointer_to_it() -> None:
    assert retention("RelayFailures") < outbox.KEPT


def test_a_marker_outlives_a_queue_and_its_dead_letters() -> None:
    lives = retention("Queue", "infra/subscription.yaml") + retention("DeadLetters", "infra/subscription.yaml")
    assert lives < inbox.KEPT
