"""Limits and times that documents state are those of the code and the templates."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest

from infra.mesh import policy
from inventory.reservation import RESERVED_FOR
from issuer import authority, renewal
from mercato import webhooks
from mercato.breaker import Policy
from mercato.events import dead_letters, inbox, outbox
from mercato.http import health, rate_limit, request
from mercato.peers import client, discovery, transport
from orders.domain import TO_KEEP
from payments import agreement, reconciler
from products import images, renditions
from promotions.claim import CLAIMED_FOR
from promotions.usecases import MOST_GUESSES, MOST_OF_NETWORK
from tests.kit.template import ROOT, resources_of_type
from users.passwords import attempts
from users.sessions import access_tokens

BREAKER, MESH, MAPPING = Policy(), policy.read(), "AWS::Lambda::EventSourceMapping"
EDGES = sum(MESH.identities[caller].is_measured for found in MESH.services.values() for caller in found.callers)


def minutes(time: timedelta) -> int:
    return int(time.total_seconds() // 60)


def sandboxes_of_consumers() -> int:
    stacks = [stack["Properties"]["TemplateURL"] for stack in resources_of_type("AWS::CloudFormation::Stack").values()]
    subscription = resources_of_type(MAPPING, "infra/subscription.yaml")["Mapping"]
    mappings = [subscription] * stacks.count("infra/subscription.yaml") + [*resources_of_type(MAPPING).values()]
    return sum(mapping["Properties"]["ScalingConfig"]["MaximumConcurrency"] for mapping in mappings)


SAID = [
    ("going-live.md", f"the queues' consumers alone may use {sandboxes_of_consumers()}"),
    ("mesh.md", f"The policy has {EDGES} measured edges"),
    ("mesh.md", f"A leaf lives for {authority.LIFE // timedelta(hours=1)} hours"),
    ("mesh.md", f"{renewal.FORGOTTEN_AFTER // timedelta(hours=1)} hours after the first run"),
    ("resilience.md", f"| {BREAKER.failures} failures in a row in one sandbox |"),
    ("resilience.md", f"half of {BREAKER.votes} calls failing, counted after {BREAKER.min_failures} failures in"),
    ("resilience.md", f"open --> half_open: {BREAKER.reset:g} s later"),
    ("resilience.md", f"twice as long, at most {BREAKER.max_reset:g} s"),
    ("resilience.md", f"half_open --> closed: {BREAKER.successes} probes succeeded"),
    ("resilience.md", f"| connecting | {transport._CONNECT:g} s |"),
    ("resilience.md", f"| {client.READ_TIMEOUT:g} s, or less if the function ends sooner |"),
    ("resilience.md", f"| attempts | {client._ATTEMPTS} at most"),
    ("resilience.md", f"| a caller caches an answer | {discovery._FRESH:g} s"),
    ("resilience.md", f"| {health._PATIENCE:g} s for both |"),
    ("resilience.md", f"at most {transport.MAX_ANSWER >> 20} MiB of JSON"),
    ("payments.md", f"older than {minutes(webhooks.MAX_AGE)} minutes?"),
    ("payments.md", f"A written-off payment is checked for {reconciler._WATCHED.days} days"),
    ("runbook.md", f"at most {minutes(RESERVED_FOR - TO_KEEP)} minutes, and is undone without an answer"),
    ("runbook.md", f"releases claims that were not made final within {minutes(CLAIMED_FOR)} minutes"),
    ("runbook.md", f"it drops what it has handled within {inbox.KEPT.days} days"),
    ("runbook.md", f"takes them from the shop's tables: {outbox.KEPT.days} days"),
    ("dead-letters.md", f"A message is tried {dead_letters.MAX_TRIES} times"),
    ("dead-letters.md", f"SQS itself moves it after {dead_letters.MAX_RECEIVES} deliveries"),
    ("security.md", f"the wait doubles from one second to {minutes(attempts.LONGEST_WAIT)} minutes"),
    ("security.md", f"until it expires, at most {minutes(access_tokens.LIFETIME)} minutes after a log-out"),
    ("security.md", f"{request.MAX_BODY >> 10} KiB of body, {request.MAX_HEADERS >> 10} KiB of headers"),
    ("security.md", f"at most 100 requests in {rate_limit.WINDOW // 60} minutes"),
    ("security.md", f"{renditions.MAX_PIXELS // 1_000_000} megapixels at most"),
    ("security.md", f"the bucket and {images.MAX_BYTES >> 20} MB"),
]


@pytest.mark.parametrize(("document", "said"), SAID)
def test_a_document_states_the_number_of_the_code(document: str, said: str) -> None:
    assert said in " ".join((ROOT / "docs" / document).read_text().split())


def test_the_runbook_opens_the_api_as_the_template_has_it() -> None:
    """By a command: a deploy of the same templates changes nothing, also not what was changed past CloudFormation."""
    [api] = resources_of_type("AWS::Serverless::Api").values()
    [every] = api["Properties"]["MethodSettings"]
    said = re.findall(r"throttling/(\w+)Limit,value=(\d+)", (ROOT / "docs" / "runbook.md").read_text())
    closed, opened = said[:2], said[2:]
    assert closed == [("rate", "0"), ("burst", "0")]
    assert opened == [("rate", str(every["ThrottlingRateLimit"])), ("burst", str(every["ThrottlingBurstLimit"]))]


def test_what_documents_say_in_words() -> None:
    """Three quarters of an hour until a mismatch; ten and fifty guesses at codes of coupons."""
    assert timedelta(minutes=45) == agreement.PATIENCE
    assert (MOST_GUESSES, MOST_OF_NETWORK) == (10, 50)
