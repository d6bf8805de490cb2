"""The parts of the service, each made from the environment at its first use."""

from __future__ import annotations

import functools

from mercato.config import load
from mercato.dataclass import dataclass
from relay.bus import EventBus


@dataclass(frozen=True)
class Settings:
    event_bus_name: str
    failure_queue_url: str


class Ports:
    @functools.cached_property
    def settings(self) -> Settings:
        return load(Settings)

    @functools.cached_property
    def event_bus(self) -> EventBus:
        return EventBus(self.settings.event_bus_name)


@functools.cache
def ports() -> Ports:
    return Ports()
