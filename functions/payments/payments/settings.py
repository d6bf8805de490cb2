"""What the environment says, and what is made of it at first use, so that importing a handler needs neither."""

from __future__ import annotations

import functools
from dataclasses import dataclass

from mercato import config
from mercato.breaker import breaker_for
from mercato.dynamo import Table
from mercato.webhooks import WebhookSecret
from payments.guarded import CIRCUIT, POLICY, GuardedProvider
from payments.provider import Provider
from payments.sandbox import Sandbox
from payments.store import PaymentStore


@dataclass(frozen=True)
class Settings:
    table_name: str


@dataclass(frozen=True)
class WebhookSettings:
    """Only the API has webhooks to verify."""

    webhook_secret_id: str


@functools.cache
def store() -> PaymentStore:
    return PaymentStore(Table(config.load(Settings).table_name))


@functools.cache
def provider() -> Provider:
    sandbox = Sandbox(Table(config.load(Settings).table_name))
    return GuardedProvider(sandbox, breaker_for(CIRCUIT, POLICY))


@functools.cache
def webhook_secret() -> WebhookSecret:
    return WebhookSecret(config.load(WebhookSettings).webhook_secret_id)
