"""Every event has a schema, and every subscription has a publisher whose event it can read."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import jsonschema
import pytest

from infra.contract import events
from infra.contract.events import Publication, Subscription
from mercato.events import Event, envelope
from mercato.events.consumer import EVERY
from tests.kit.template import resources_of_type

PUBLICATIONS = events.publications()
SUBSCRIPTIONS = events.subscriptions()


def by_type(publication: Publication) -> str:
    return publication.model.TYPE


def by_listener(subscription: Subscription) -> str:
    return f"{subscription.queue}-{subscription.event_type}"


def subscribed_in_template() -> dict[str, set[str]]:
    """The event types of each queue's nested subscription."""
    found = {}
    for resource in resources_of_type("AWS::CloudFormation::Stack").values():
        parameters = resource["Properties"]["Parameters"]
        if types := parameters.get("EventTypes"):
            heard = map(by_type, PUBLICATIONS) if types == EVERY else types.split(",")
            found[parameters["QueueName"]["Fn::Sub"].partition("-")[2]] = set(heard)
    return found


@pytest.mark.parametrize("publication", PUBLICATIONS, ids=by_type)
def test_the_example_of_each_event_validates_against_its_generated_schema(publication: Publication) -> None:
    schema = events.schema_of(publication.model)
    jsonschema.Draft202012Validator.check_schema(schema)

    data = publication.model.model_validate(publication.model.EXAMPLE).model_dump(mode="json")

    jsonschema.validate(data, schema)


@pytest.mark.parametrize("publication", PUBLICATIONS, ids=by_type)
def test_the_schema_refuses_a_field_that_the_model_does_not_have(publication: Publication) -> None:
    data: dict[str, Any] = publication.model.EXAMPLE | {"surprise": 1}

    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(data, events.schema_of(publication.model))


@pytest.mark.parametrize("publication", PUBLICATIONS, ids=by_type)
def test_the_envelope_can_be_read_back(publication: Publication) -> None:
    model = publication.model.model_validate(publication.model.EXAMPLE)
    now = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)

    sent = envelope(model, service=publication.service, subject="s-1", event_id="e-1", sequence=3, now=now)
    read = Event.model_validate(json.loads(json.dumps(sent)))

    assert (read.id, read.type, read.subject, read.sequence) == ("e-1", publication.model.TYPE, "s-1", 3)
    assert read.source == f"mercato.{publication.service}"
    assert read.time == now


def test_the_sequence_orders_as_text_as_it_does_as_a_number_and_an_older_form_is_read() -> None:
    model = PUBLICATIONS[0].model.model_validate(PUBLICATIONS[0].model.EXAMPLE)
    now = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
    numbers = [1, 8, 9, 10, 11, 99, 100, 2**31]

    sent = [envelope(model, service="x", subject="s", event_id="e", sequence=n, now=now)["sequence"] for n in numbers]

    assert sent == sorted(sent)
    assert sent[:4] == ["0000000001", "0000000008", "0000000009", "0000000010"]
    event = envelope(model, service="x", subject="s", event_id="e", sequence=8, now=now)
    assert Event.model_validate(event).sequence == Event.model_validate(event | {"sequence": "8"}).sequence == 8


def test_no_event_type_is_published_by_two_services() -> None:
    types = [publication.model.TYPE for publication in PUBLICATIONS]

    assert sorted(types) == sorted(set(types))


@pytest.mark.parametrize("subscription", SUBSCRIPTIONS, ids=by_listener)
def test_each_subscription_can_read_what_its_publisher_sends(subscription: Subscription) -> None:
    published = {publication.model.TYPE: publication.model for publication in PUBLICATIONS}
    assert subscription.event_type in published, f"nobody publishes {subscription.event_type}"

    data = published[subscription.event_type].model_validate(published[subscription.event_type].EXAMPLE)

    subscription.reads.model_validate(data.model_dump(mode="json"))


@pytest.mark.parametrize("subscription", SUBSCRIPTIONS, ids=by_listener)
def test_each_consumer_tolerates_a_field_that_is_new(subscription: Subscription) -> None:
    model = next(publication.model for publication in PUBLICATIONS if subscription.event_type == publication.model.TYPE)

    subscription.reads.model_validate(model.EXAMPLE | {"new_in_version_2": True})


@pytest.mark.parametrize("subscription", SUBSCRIPTIONS, ids=by_listener)
def test_each_consumer_reads_the_version_that_is_published(subscription: Subscription) -> None:
    model = next(publication.model for publication in PUBLICATIONS if subscription.event_type == publication.model.TYPE)

    assert model.VERSION <= subscription.reads.VERSION, "teach the consumer to read it before it is published"


def test_the_template_subscribes_each_consumer_to_exactly_the_events_it_handles() -> None:
    handled: dict[str, set[str]] = {}
    for subscription in SUBSCRIPTIONS:
        handled.setdefault(subscription.queue, set()).add(subscription.event_type)

    assert subscribed_in_template() == handled


def test_the_generated_files_are_up_to_date() -> None:
    wanted = events.files()

    stale = [path.name for path, text in wanted.items() if not path.exists() or path.read_text() != text]
    left_over = [path.name for path in events.SCHEMAS.glob("*.json") if path not in wanted]

    assert (stale, left_over) == ([], []), "run `mercato contract` and look at what changed"
