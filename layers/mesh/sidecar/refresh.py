"""Reads the identity and the versions' weights, through the sidecar's own Envoy, which signs for AWS."""

from __future__ import annotations

import http.client
import json
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sidecar.envoy import Envoy
from sidecar.settings import Settings

IDENTITY_FRESH = 3600.0  # seconds
# Leaves live for a day and are renewed after six hours. One with half a day left was not, and the issuer may be back
# any minute: calls fail from its end until the next reading.
LATE, WHILE_LATE = 12 * 3600.0, 60.0
TRIED_AGAIN = 5.0
PATIENCE = 0.3  # of a refresh beside an invocation
_FIRST_PAUSE = 0.1  # before the second try for the first identity, doubled for each one after it

Json = dict[str, Any]


class NotRead(Exception):
    """AWS did not give an answer that can be used, in time."""


class SocketConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: Path, timeout: float) -> None:
        super().__init__("sidecar", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def ask(path: Path, service: str, target: str, body: Json, timeout: float) -> Json:
    """Calls an AWS service over the socket. Raises NotRead, which has no values of the answer."""
    headers = {"Host": service, "X-Amz-Target": target, "Content-Type": "application/x-amz-json-1.1"}
    connection = SocketConnection(path, timeout)
    try:
        connection.request("POST", "/", json.dumps(body).encode(), headers)
        answer = connection.getresponse()
        content = answer.read()
        if answer.status != 200:
            raise NotRead(f"{target}: {answer.status}")
        found: Json = json.loads(content)
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise NotRead(f"{target}: {type(error).__name__}") from error
    finally:
        connection.close()
    return found


class Refresher:
    """Keeps what it has if a new reading fails. `now` is the wall clock: the monotonic one may stand still while the
    sandbox is frozen, so that an old certificate would look fresh.
    """

    def __init__(
        self, settings: Settings, envoy: Envoy, say: Callable[..., None], now: Callable[[], float] = time.time
    ) -> None:
        self._settings = settings
        self._envoy = envoy
        self._say = say
        self._now = now
        self._services = envoy.weighed_services()
        self._due = {"identity": 0.0, "weights": 0.0}
        self._read_at = {"identity": 0.0, "weights": 0.0}
        self._identity: Json | None = None
        self._weights: dict[str, dict[str, int]] = {}

    @property
    def has_identity(self) -> bool:
        return self._identity is not None

    def read_first(self, patience: float) -> None:
        """Reads all, and the identity again after a throttled or lost answer, since without one no call is possible
        until a later invocation. Ends after `patience` seconds.
        """
        ends_at, pause = time.monotonic() + patience, _FIRST_PAUSE
        self.refresh(patience)
        while not self.has_identity and (left := ends_at - time.monotonic() - pause) > 0:
            time.sleep(pause)
            pause *= 2
            self._due["identity"] = 0.0
            self.refresh(left)

    def refresh(self, patience: float = PATIENCE) -> None:
        """Reads what is old, within `patience` seconds."""
        ends_at = time.monotonic() + patience
        for name, read in (("identity", self._read_identity), ("weights", self._read_weights)):
            now = self._now()
            # A clock that was put back makes it due too.
            if self._read_at[name] <= now < self._due[name]:
                continue
            self._read_at[name] = now
            try:
                fresh = read(max(0.01, ends_at - time.monotonic()))
            except NotRead as error:
                self._due[name] = now + TRIED_AGAIN
                self._say("the mesh keeps its old " + name, reason=str(error))
            else:
                self._due[name] = now + fresh

    def _read_identity(self, timeout: float) -> float:
        """Returns for how long it is fresh."""
        secret = {"SecretId": self._settings.secret_id}
        answer = ask(self._settings.aws_socket, "secretsmanager", "secretsmanager.GetSecretValue", secret, timeout)
        try:
            found = json.loads(answer["SecretString"])
            identity = {name: found[name] for name in ("certificate", "key", "authorities")}
            left = float(found["ends_at"]) - self._now() if "ends_at" in found else LATE
        except (KeyError, TypeError, ValueError):
            raise NotRead("the secret holds no identity") from None
        if identity != self._identity:
            self._envoy.use_identity(identity)
            self._identity = identity
        return IDENTITY_FRESH if left >= LATE else WHILE_LATE

    def _read_weights(self, timeout: float) -> float:
        """Returns for how long they are fresh."""
        ends_at = time.monotonic() + timeout
        found = {}
        for service in self._services:
            question = {"NamespaceName": self._settings.namespace, "ServiceName": service, "HealthStatus": "HEALTHY"}
            left = max(0.01, ends_at - time.monotonic())
            target = "Route53AutoNaming_v20170314.DiscoverInstances"
            answer = ask(self._settings.aws_socket, "servicediscovery", target, question, left)
            if weights := weights_of(answer):
                found[service] = weights
        if found != self._weights:
            self._envoy.use_weights(found)
            self._weights = found
            self._say("the mesh weighs versions", weights=found)
        return self._settings.weights_fresh


def weights_of(answer: Json) -> dict[str, int]:
    """The weights by version; empty, so that all calls go to the live version, if no instance has any."""
    weights: dict[str, int] = {}
    for instance in answer.get("Instances", []):
        attributes = instance.get("Attributes", {})
        weight = attributes.get("weight", "1")
        if weight.isdecimal():
            version = attributes.get("version", "live")
            weights[version] = weights.get(version, 0) + int(weight)
    return weights if any(weights.values()) else {}
