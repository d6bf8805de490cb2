"""What the function's environment tells the sidecar."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

WEIGHTS_FRESH = 30.0  # seconds, if the environment states nothing else
_PUBLIC_AUTHORITIES = ("/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/certs/ca-certificates.crt")


class NotConfigured(Exception):
    """The environment lacks a variable that the sidecar needs."""


@dataclass(frozen=True)
class Endpoint:
    host: str  # as the Host header has it, and as it is signed
    address: str
    port: int
    has_tls: bool

    @classmethod
    def of(cls, url: str) -> Endpoint:
        parts = urlsplit(url)
        has_tls = parts.scheme == "https"
        return cls(parts.netloc, parts.hostname or "", parts.port or (443 if has_tls else 80), has_tls)


@dataclass(frozen=True)
class Settings:
    """`ingress_id` is the URI that the ingress's certificate has if the mesh's own authority has issued it, as on the
    local cloud; if it is empty, the certificate is a public one for the ingress's host name.
    """

    identity: str
    secret_id: str
    socket: Path
    namespace: str
    environment: str
    region: str
    ingress: Endpoint
    ingress_id: str
    secrets: Endpoint
    discovery: Endpoint
    product: Path
    envoy: str
    metrics: str = ""  # the namespace of the signals, which are not told without one
    weights_fresh: float = WEIGHTS_FRESH  # seconds, after which the versions' weights are read again

    @property
    def folder(self) -> Path:
        return self.socket.parent

    @property
    def aws_socket(self) -> Path:
        return self.folder / "aws.sock"

    @property
    def admin_socket(self) -> Path:
        return self.folder / "admin.sock"

    @classmethod
    def read(cls, given: Mapping[str, str], home: Path) -> Settings:
        """`home` is the layer's folder, /opt on Lambda. Raises NotConfigured."""
        needed = ("MESH_IDENTITY", "MESH_SECRET_ID", "MESH_SOCKET", "MESH_INGRESS_HOST", "NAMESPACE", "AWS_REGION")
        if missing := [name for name in needed if not given.get(name)]:
            raise NotConfigured(f"not set: {', '.join(missing)}")
        fresh = given.get("MESH_WEIGHTS_FRESH") or str(WEIGHTS_FRESH)
        if not re.fullmatch(r"[0-9]{1,4}(\.[0-9]{1,3})?", fresh):
            raise NotConfigured(f"MESH_WEIGHTS_FRESH is no number of seconds: {fresh}")
        region, host = given["AWS_REGION"], given["MESH_INGRESS_HOST"]
        emulator = given.get("AWS_ENDPOINT_URL", "")
        domain = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
        at = Endpoint.of(f"https://{given.get('MESH_INGRESS_ADDRESS') or host}")
        return cls(
            identity=given["MESH_IDENTITY"],
            secret_id=given["MESH_SECRET_ID"],
            socket=Path(given["MESH_SOCKET"]),
            namespace=given["NAMESPACE"],
            environment=given.get("MESH_ENVIRONMENT", "prod"),
            region=region,
            ingress=Endpoint(host, at.address, at.port, has_tls=True),
            ingress_id=given.get("MESH_INGRESS_ID", ""),
            secrets=Endpoint.of(emulator or f"https://secretsmanager.{region}.{domain}"),
            discovery=Endpoint.of(emulator or f"https://data-servicediscovery.{region}.{domain}"),
            product=home / "mesh" / f"{given['MESH_IDENTITY']}.json",
            metrics=given.get("METRICS_NAMESPACE", ""),
            weights_fresh=float(fresh),
            envoy=given.get("MESH_ENVOY") or str(home / "bin" / "envoy"),
        )


def public_authorities() -> str:
    """The file with the authorities of the public internet: Amazon Linux's, or Debian's."""
    return next((path for path in _PUBLIC_AUTHORITIES if os.path.exists(path)), _PUBLIC_AUTHORITIES[0])
