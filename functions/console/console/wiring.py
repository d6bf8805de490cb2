"""The parts of the site, each made from the environment at its first use."""

from __future__ import annotations

import functools
from dataclasses import dataclass

from mercato.config import load
from pages import SiteSettings


@dataclass(frozen=True)
class Settings(SiteSettings):
    """What every site has."""


class Ports:
    @functools.cached_property
    def settings(self) -> Settings:
        return load(Settings)


@functools.cache
def ports() -> Ports:
    return Ports()
