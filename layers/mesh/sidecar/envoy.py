"""Envoy's process and the files that it watches: its certificate, whom it trusts, and its routes."""

from __future__ import annotations

import ctypes
import json
import os
import re
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

from sidecar.settings import Settings, public_authorities

_PR_SET_PDEATHSIG = 1
_SDS = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret"

Json = dict[str, Any]


class NotStarted(Exception):
    """Envoy has ended, or does not listen in time."""


class Envoy:
    """One Envoy with the product of one identity. `folder` of the settings is its own, and nobody else may read it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._files = settings.folder / "files"
        product = json.loads(settings.product.read_text())
        self._bootstrap: Json = product["bootstrap"]
        self._routes: Json = product["routes"][settings.environment]
        self.is_measured: bool = product["is_measured"]
        self._fills = self._values()
        self.process: subprocess.Popen[bytes] | None = None
        self.is_stopped = False

    def start(self, within: float = 8.0) -> None:
        """Returns when Envoy accepts connections. Without a certificate it answers 503 until it gets one."""
        self._files.mkdir(parents=True, exist_ok=True)
        self._settings.folder.chmod(0o700)
        for path in (self._settings.socket, self._settings.aws_socket, self._settings.admin_socket):
            path.unlink(missing_ok=True)
        for name in ("identity", "trust"):
            self._put(name, {"resources": []})
        self._put("routes", self._filled(self._routes))
        config = self._settings.folder / "envoy.json"
        config.write_text(json.dumps(self._filled(_without_tls(self._bootstrap, self._settings))))
        command = [self._settings.envoy, "-c", str(config), "--disable-hot-restart", "--concurrency", "1"]
        command += ["--log-level", "warn", "--component-log-level", "main:error", "--drain-time-s", "1"]
        # Else a line of the log waits for ten seconds, and a sandbox may be frozen or gone by then.
        command += ["--file-flush-min-size-kb", "0"]
        # No other thread runs yet, so that code between fork and exec is safe.
        self.process = subprocess.Popen(command, preexec_fn=die_with_parent)  # noqa: S603
        ends_at = time.monotonic() + within
        while not accepts(self._settings.socket):
            if self.process.poll() is not None:
                raise NotStarted(f"Envoy has ended with {self.process.returncode}")
            if time.monotonic() > ends_at:
                self.stop()
                raise NotStarted(f"Envoy does not listen after {within} s")
            time.sleep(0.002)

    def stop(self) -> None:
        self.is_stopped = True
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def use_identity(self, identity: Json) -> None:
        """`identity` has a certificate, its key, and the mesh's authorities, as PEM."""
        own = {
            "certificate_chain": {"inline_string": identity["certificate"]},
            "private_key": {"inline_string": identity["key"]},
        }
        if self._settings.ingress_id:
            authorities: Json = {"inline_string": identity["authorities"]}
            name = {"san_type": "URI", "matcher": {"exact": self._settings.ingress_id}}
        else:
            authorities = {"filename": public_authorities()}
            name = {"san_type": "DNS", "matcher": {"exact": self._settings.ingress.host}}
        trust = {"trusted_ca": authorities, "match_typed_subject_alt_names": [name]}
        self._put("trust", {"resources": [{"@type": _SDS, "name": "trust", "validation_context": trust}]})
        self._put("identity", {"resources": [{"@type": _SDS, "name": "identity", "tls_certificate": own}]})

    def use_weights(self, weights: dict[str, dict[str, int]]) -> None:
        """`weights` are by service and version. A service that is missing keeps its calls at the live version."""
        routes = json.loads(json.dumps(self._filled(self._routes)))
        for host in routes["resources"][0]["virtual_hosts"]:
            if found := weights.get(host["name"]):
                for route in host["routes"]:
                    for cluster in route.get("route", {}).get("weighted_clusters", {}).get("clusters", []):
                        cluster["weight"] = found.get(version_of(cluster["name"]), 0)
        self._put("routes", routes)

    def weighed_services(self) -> list[str]:
        """The services that have several versions."""
        return [
            host["name"]
            for host in self._routes["resources"][0]["virtual_hosts"]
            if any(
                len(route.get("route", {}).get("weighted_clusters", {}).get("clusters", [])) > 1
                for route in host["routes"]
            )
        ]

    def _put(self, name: str, content: Json) -> None:
        """Envoy reads a file when another is moved in its place, so that it never sees half of one."""
        unfinished = self._files / f".{name}"
        unfinished.touch(mode=0o600)
        unfinished.write_text(json.dumps(content))
        os.replace(unfinished, self._files / f"{name}.json")

    def _values(self) -> dict[str, str]:
        settings = self._settings
        files = {"ROUTES": "routes", "IDENTITY_FILE": "identity", "TRUST_FILE": "trust"}
        found = {name: str(self._files / f"{file}.json") for name, file in files.items()}
        for name, endpoint in (
            ("INGRESS", settings.ingress),
            ("SECRETS", settings.secrets),
            ("DISCOVERY", settings.discovery),
        ):
            found |= {
                f"{name}_HOST": endpoint.host,
                f"{name}_ADDRESS": endpoint.address,
                f"{name}_PORT": str(endpoint.port),
            }
        return found | {
            "WATCHED": str(self._files),
            "OUT": str(settings.socket),
            "AWS": str(settings.aws_socket),
            "ADMIN": str(settings.admin_socket),
            "IDENTITY": settings.identity,
            "REGION": settings.region,
            "INGRESS_SNI": settings.ingress.host.partition(":")[0],
            "PUBLIC_AUTHORITIES": public_authorities(),
        }

    def _filled(self, part: Json) -> Json:
        text = re.sub("@([A-Z_]+)@", lambda found: json.dumps(self._fills[found[1]])[1:-1], json.dumps(part))
        filled: Json = json.loads(text)
        return filled


def version_of(cluster: str) -> str:
    """products.canary+live → canary: the first of the versions that a cluster stands for."""
    return cluster.partition(".")[2].partition("+")[0]


def _without_tls(bootstrap: Json, settings: Settings) -> Json:
    """The emulator of AWS has no TLS."""
    plain = {
        name
        for name, endpoint in (("secretsmanager", settings.secrets), ("servicediscovery", settings.discovery))
        if not endpoint.has_tls
    }
    static = bootstrap["static_resources"]
    clusters = [
        {key: value for key, value in cluster.items() if key != "transport_socket"}
        if cluster["name"] in plain
        else cluster
        for cluster in static["clusters"]
    ]
    return bootstrap | {"static_resources": static | {"clusters": clusters}}


def accepts(path: Path) -> bool:
    """The socket's file exists before anybody listens."""
    with socket.socket(socket.AF_UNIX) as attempt:
        try:
            attempt.connect(str(path))
        except OSError:
            return False
        return True


def die_with_parent() -> None:
    """Asks the kernel to kill this process when the one that has started it ends, however that ends."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
