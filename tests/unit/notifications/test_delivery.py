import uuid
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from notifications.domain import (
    CLAIM_LASTS,
    Channel,
    Contact,
    Kind,
    NextStep,
    Notification,
    Preferences,
    Status,
    Text,
    Trigger,
    compose,
    next_step,
    notification_id,
)

ANNA = Contact("user-1", "anna@example.com", "Anna")


def composed(noon: datetime, kind: Kind = Kind.RECEIPT, *, email: bool = True) -> Notification:
    return compose(ANNA, Preferences(email), Trigger(kind, "event-1", noon, "order-1"), Text("subject", "body"))


def test_the_same_event_and_kind_make_the_same_id(noon: datetime) -> None:
    assert notification_id("event-1", Kind.RECEIPT, noon) == notification_id("event-1", Kind.RECEIPT, noon)


def test_another_event_or_kind_makes_another_id(noon: datetime) -> None:
    ids = {notification_id(event, kind, noon) for event in ("event-1", "event-2") for kind in Kind}
    assert len(ids) == 2 * len(Kind)


def test_ids_sort_by_the_events_time(noon: datetime) -> None:
    earlier = [notification_id(f"a{n}", Kind.REFUND, noon) for n in range(20)]
    later = [notification_id(f"b{n}", Kind.REFUND, noon + timedelta(milliseconds=1)) for n in range(20)]
    assert max(earlier) < min(later)


def test_an_id_is_a_uuid_of_version_8(noon: datetime) -> None:
    found = uuid.UUID(notification_id("event-1", Kind.REFUND, noon))
    assert (found.version, found.variant) == (8, uuid.RFC_4122)


def test_a_notification_by_email_waits_to_be_sent(noon: datetime) -> None:
    found = composed(noon)
    assert (found.channel, found.status, found.is_read) == (Channel.EMAIL, Status.PENDING, False)
    assert next_step(found, noon) is NextStep.SEND


def test_without_email_a_notification_is_listed_and_nothing_is_sent(noon: datetime) -> None:
    found = composed(noon, Kind.ORDER_SHIPPED, email=False)
    assert (found.channel, found.status) == (Channel.IN_APP, Status.SENT)
    assert next_step(found, noon) is NextStep.NOTHING


@pytest.mark.parametrize("status", [Status.SENT, Status.FAILED])
def test_what_is_over_is_never_sent_again(noon: datetime, status: Status) -> None:
    assert next_step(replace(composed(noon), status=status), noon + timedelta(days=40)) is NextStep.NOTHING


@pytest.mark.parametrize("kind", list(Kind))
def test_while_a_claim_lasts_nobody_else_sends(noon: datetime, kind: Kind) -> None:
    claimed = replace(composed(noon, kind), status=Status.SENDING, claimed_until=noon + CLAIM_LASTS)
    assert next_step(claimed, noon + CLAIM_LASTS - timedelta(seconds=1)) is NextStep.WAIT


def test_an_interrupted_receipt_is_sent_again(noon: datetime) -> None:
    claimed = replace(composed(noon), status=Status.SENDING, claimed_until=noon + CLAIM_LASTS)
    assert next_step(claimed, noon + CLAIM_LASTS) is NextStep.SEND


def test_an_interrupted_welcome_is_given_up(noon: datetime) -> None:
    claimed = replace(composed(noon, Kind.WELCOME), status=Status.SENDING, claimed_until=noon + CLAIM_LASTS)
    assert next_step(claimed, noon + CLAIM_LASTS) is NextStep.GIVE_UP
