"""What the environment says, and what is made of it at first use, so that importing a handler needs neither."""

from __future__ import annotations

import functools
from dataclasses import dataclass

from mercato import clock, config
from mercato.aws.secret import StoredSecret
from mercato.breaker import breaker_for
from mercato.store.dynamo import Table
from payments.providers.guarded import CIRCUIT, POLICY, GuardedProvider
from payments.providers.port import Provider
from payments.store import PaymentStore

SANDBOX, STRIPE = "sandbox", "stripe"


@dataclass(frozen=True)
class Settings:
    """`stripe_key_id`: the secret with Stripe's secret key. `stripe_api`: where Stripe is, if not at home."""

    table_name: str
    payment_provider: str = SANDBOX
    stripe_key_id: str = ""
    stripe_api: str = ""


@dataclass(frozen=True)
class WebhookSettings:
    """Only the API has webhooks to verify."""

    webhook_secret_id: str


@functools.cache
def table() -> Table:
    return Table(config.load(Settings).table_name)


@functools.cache
def store() -> PaymentStore:
    return PaymentStore(table())


def chosen_provider() -> str:
    return config.load(Settings).payment_provider


@functools.cache
def provider() -> Provider:
    return GuardedProvider(_chosen(config.load(Settings)), breaker_for(CIRCUIT, POLICY))


@functools.cache
def webhook_secret() -> StoredSecret:
    return StoredSecret(config.load(WebhookSettings).webhook_secret_id)


def _chosen(settings: Settings) -> Provider:
    """Imported only where chosen: Stripe's library would cost every cold start of the sandbox."""
    match settings.payment_provider:
        case "sandbox":
            from payments.providers.sandbox import Sandbox

            return Sandbox(Table(settings.table_name))
        case "stripe":
            from payments.providers.stripe import API, StripeProvider

            key = StoredSecret(settings.stripe_key_id, "Stripe's secret key")
            return StripeProvider(lambda: key.read(clock.utc_now()), key.forget, settings.stripe_api or API)
    raise config.BadConfiguration(f"PAYMENT_PROVIDER={settings.payment_provider!r} is neither sandbox nor stripe")
