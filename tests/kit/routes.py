"""Returns every route of every service, so that tests include each new route."""

from __future__ import annotations

import importlib
import re
from collections.abc import Mapping
from typing import NamedTuple

from infra.paths import ROOT
from mercato.http import App, Body, Route


class Served(NamedTuple):
    service: str
    route: Route

    @property
    def name(self) -> str:
        return f"{self.route.method} {self.route.path}"

    @property
    def parameters(self) -> list[str]:
        return re.findall(r"{(\w+)}", self.route.path)

    @property
    def body(self) -> type[Body] | None:
        kinds = [kind for kind in self.route.parameters.values() if isinstance(kind, type) and issubclass(kind, Body)]
        return kinds[0] if kinds else None

    def path(self, ids: Mapping[str, str]) -> str:
        """Returns the path with the parameters' values. Raises KeyError if `ids` has no value for a parameter."""
        return re.sub(r"{(\w+)}", lambda found: ids[found[1]], self.route.path)


def all_routes() -> list[Served]:
    """Returns the routes that API Gateway serves. A service's /health is not one of them."""
    services = sorted(path.parent.name for path in ROOT.glob("functions/*/*/api.py"))
    apps: dict[str, App] = {service: importlib.import_module(f"{service}.api").app for service in services}
    return [Served(service, route) for service, app in apps.items() for route in app.routes if route.path != "/health"]
