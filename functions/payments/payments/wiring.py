"""The parts of the service, each made from the environment at its first use."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from mercato import clock, config
from mercato.breaker import breaker_for
from mercato.dataclass import dataclass
from mercato.errors import NotFound
from mercato.store.dynamo import Table
from payments.providers.guarded import CIRCUIT, POLICY, GuardedProvider
from payments.store import PaymentStore

if TYPE_CHECKING:
    from mercato.aws.secret import StoredSecret
    from payments.providers.port import Bank, Provider

SANDBOX, STRIPE = "sandbox", "stripe"


@dataclass(frozen=True)
class Settings:
    """`stripe_key_id`: the secret that holds Stripe's secret key. `stripe_api`: Stripe's address, if not the
    default.
    """

    table_name: str
    payment_provider: str = SANDBOX
    stripe_key_id: str = ""
    stripe_api: str = ""


@dataclass(frozen=True)
class WebhookSettings:
    """Only the API verifies webhooks."""

    webhook_secret_id: str


class Ports:
    @functools.cached_property
    def settings(self) -> Settings:
        return config.load(Settings)

    @functools.cached_property
    def table(self) -> Table:
        return Table(self.settings.table_name)

    @functools.cached_property
    def payments(self) -> PaymentStore:
        return PaymentStore(self.table)

    @functools.cached_property
    def provider(self) -> Provider:
        return GuardedProvider(_chosen(self.settings), breaker_for(CIRCUIT, POLICY))

    @functools.cached_property
    def bank(self) -> Bank:
        """Raises NotFound with another provider, whose banks have pages of their own."""
        if self.settings.payment_provider != SANDBOX:
            raise NotFound("This shop's banks have pages of their own.")
        from payments.providers.sandbox import Sandbox

        return Sandbox(self.table)

    @functools.cached_property
    def webhook_secret(self) -> StoredSecret:
        from mercato.aws.secret import StoredSecret

        return StoredSecret(config.load(WebhookSettings).webhook_secret_id)


@functools.cache
def ports() -> Ports:
    return Ports()


def _chosen(settings: Settings) -> Provider:
    """Imports only the chosen provider: Stripe's library would cost every cold start of the sandbox."""
    match settings.payment_provider:
        case "sandbox":
            from payments.providers.sandbox import Sandbox

            return Sandbox(Table(settings.table_name))
        case "stripe":
            from mercato.aws.secret import StoredSecret
            from payments.providers.stripe import API, StripeProvider

            key = StoredSecret(settings.stripe_key_id, "Stripe's secret key")
            return StripeProvider(lambda: key.read(clock.utc_now()), key.forget, settings.stripe_api or API)
    raise config.BadConfiguration(f"PAYMENT_PROVIDER={settings.payment_provider!r} is neither sandbox nor stripe")
