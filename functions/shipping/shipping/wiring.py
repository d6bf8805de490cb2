"""The parts of the service, each made from the environment at its first use."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from mercato.config import load
from mercato.store.dynamo import Table
from shipping.sandbox import SandboxCarrier
from shipping.store import ShipmentStore

if TYPE_CHECKING:
    from mercato.aws.secret import StoredSecret


@dataclass(frozen=True)
class Settings:
    table_name: str


@dataclass(frozen=True)
class CarrierSettings:
    """For the functions that call a carrier; the API does not."""

    carrier_queue_url: str
    carrier_step_seconds: int


@dataclass(frozen=True)
class WebhookSettings:
    """Only the API verifies webhooks."""

    webhook_secret_id: str


class Ports:
    @functools.cached_property
    def table(self) -> Table:
        return Table(load(Settings).table_name)

    @functools.cached_property
    def shipments(self) -> ShipmentStore:
        return ShipmentStore(self.table)

    @functools.cached_property
    def carrier_settings(self) -> CarrierSettings:
        return load(CarrierSettings)

    def carrier(self, now: datetime) -> SandboxCarrier:
        settings = self.carrier_settings
        return SandboxCarrier(settings.carrier_queue_url, settings.carrier_step_seconds, self.table, now)

    @functools.cached_property
    def webhook_secret(self) -> StoredSecret:
        from mercato.aws.secret import StoredSecret

        return StoredSecret(load(WebhookSettings).webhook_secret_id)


@functools.cache
def ports() -> Ports:
    return Ports()
