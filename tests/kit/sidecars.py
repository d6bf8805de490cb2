"""The mesh's sidecars on this machine, by the folders that they leave in the local cloud's temporary files."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from sidecar.envoy import accepts, version_of


def certificates(home: Path) -> set[str]:
    """Each certificate that a sidecar of the cloud at `home` had when it ended, or has now, as PEM."""
    return {
        found["tls_certificate"]["certificate_chain"]["inline_string"]
        for folder in _folders(home)
        for found in json.loads((folder / "files" / "identity.json").read_text())["resources"]
    }


def weights(home: Path, caller: str, service: str) -> list[dict[str, int]]:
    """What each living sidecar of the caller gives to each version of the service, as its Envoy reads it."""
    return [
        _weights_in(folder, service)
        for folder in _folders(home)
        if f'"caller": "{caller}"' in (folder / "envoy.json").read_text() and accepts(folder / "admin.sock")
    ]


def _folders(home: Path) -> Iterator[Path]:
    for config in (home / "tmp").glob("*/envoy.json"):
        if (config.parent / "files" / "routes.json").exists():
            yield config.parent


def _weights_in(folder: Path, service: str) -> dict[str, int]:
    hosts = json.loads((folder / "files" / "routes.json").read_text())["resources"][0]["virtual_hosts"]
    routes = [
        route["route"]["weighted_clusters"]["clusters"]
        for host in hosts
        if host["name"] == service
        for route in host["routes"]
        if "weighted_clusters" in route.get("route", {})
    ]
    return {version_of(one["name"]): one["weight"] for one in max(routes, key=len)}
