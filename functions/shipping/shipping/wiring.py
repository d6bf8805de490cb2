"""The parts of the service, each made from the environment at its first use."""

from __future__ import annotations

import functools
from datetime import datetime
from typing import TYPE_CHECKING

from mercato.clock import utc_now
from mercato.config import BadConfiguration, load
from mercato.dataclass import dataclass
from mercato.store.dynamo import Table
from shipping import manual, sandbox
from shipping.bookings import Bookings
from shipping.easypost import reports
from shipping.rates import first_table
from shipping.sandbox import SandboxCarrier
from shipping.store import RateTables, ShipmentStore

if TYPE_CHECKING:
    from mercato.aws.secret import StoredSecret
    from shipping.usecases import Carrier, TrackingCarrier


@dataclass(frozen=True)
class Settings:
    table_name: str


@dataclass(frozen=True)
class CarrierSettings:
    """For the functions that call a carrier; the API does not. `carrier` is sandbox, manual or easypost.

    `easypost_key_id`: the secret that holds EasyPost's API key. `carrier_services` and `carrier_address` are as in
    shipping.easypost.carrier. `easypost_api`: EasyPost's address, if not the default.
    """

    carrier: str
    carrier_queue_url: str
    carrier_step_seconds: int
    easypost_key_id: str = ""
    easypost_api: str = ""
    carrier_services: str = ""
    carrier_address: str = ""


@dataclass(frozen=True)
class ApiSettings:
    """Only the API verifies webhooks, and has rates. `carrier` is the one of the rates of a new shop. `currency` and
    `country` are the shop's.
    """

    carrier: str
    webhook_secret_id: str
    currency: str = "GBP"
    country: str = "GB"


class Ports:
    @functools.cached_property
    def table(self) -> Table:
        return Table(load(Settings).table_name)

    @functools.cached_property
    def shipments(self) -> ShipmentStore:
        return ShipmentStore(self.table)

    @functools.cached_property
    def bookings(self) -> Bookings:
        return Bookings(self.table)

    @functools.cached_property
    def carrier_settings(self) -> CarrierSettings:
        return load(CarrierSettings)

    def carrier(self, now: datetime) -> Carrier:
        """Raises BadConfiguration where CARRIER names none."""
        match self.carrier_settings.carrier:
            case manual.NAME:
                return manual.ManualCarrier()
            case sandbox.NAME:
                return self.sandbox(now)
            case reports.NAME:
                return self.easypost
        raise BadConfiguration(f"CARRIER={self.carrier_settings.carrier!r} is neither sandbox nor manual nor easypost")

    @functools.cached_property
    def easypost(self) -> TrackingCarrier:
        """Imports it only where it is chosen: its models would cost every cold start."""
        from mercato.aws.secret import StoredSecret
        from mercato.breaker import breaker_for
        from mercato.peers.transport import Transport
        from shipping.easypost.api import API, EasyPostApi
        from shipping.easypost.carrier import EasyPostCarrier, Terms, services_of
        from shipping.guarded import CIRCUIT, POLICY, GuardedCarrier

        settings = self.carrier_settings
        key = StoredSecret(settings.easypost_key_id, "EasyPost's key")
        api = EasyPostApi(lambda: key.read(utc_now()), key.forget, Transport(), settings.easypost_api or API)
        try:
            terms = Terms(services_of(settings.carrier_services), settings.carrier_address)
        except ValueError as error:
            raise BadConfiguration(f"CARRIER_SERVICES: {error}") from error
        return GuardedCarrier(EasyPostCarrier(api, self.bookings, terms), breaker_for(CIRCUIT, POLICY))

    def sandbox(self, now: datetime) -> SandboxCarrier:
        settings = self.carrier_settings
        return SandboxCarrier(settings.carrier_queue_url, settings.carrier_step_seconds, self.table, now)

    @functools.cached_property
    def api_settings(self) -> ApiSettings:
        return load(ApiSettings)

    @functools.cached_property
    def rates(self) -> RateTables:
        return RateTables(self.table, first_table(self.api_settings.carrier, self.api_settings.currency))

    @functools.cached_property
    def webhook_secret(self) -> StoredSecret:
        from mercato.aws.secret import StoredSecret

        return StoredSecret(self.api_settings.webhook_secret_id)


@functools.cache
def ports() -> Ports:
    return Ports()
