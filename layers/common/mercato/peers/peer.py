"""The peers of the running function, by name: found in its namespace or called through the mesh, each behind a circuit
that all callers share.

products = peer("products").post("/api/products/lookup", {"product_ids": [...]}, safe=True)
"""

from __future__ import annotations

import functools
import threading

from mercato import config
from mercato.breaker import Policy, breaker_for
from mercato.dataclass import dataclass
from mercato.peers.client import READ_TIMEOUT, PeerNotCalled, PeerRefused, PeerUnavailable, ServiceClient
from mercato.peers.discovery import Addresses, Registry


@dataclass(frozen=True)
class Settings:
    """`mesh_socket` is where the mesh's sidecar listens; empty where the mesh is off."""

    namespace: str
    mesh_socket: str = ""


def _is_down(error: BaseException) -> bool:
    """A refusal shows that the peer works: 404, 409 and other 4xx are answers."""
    return isinstance(error, PeerUnavailable) and not isinstance(error, PeerRefused)


_making = threading.Lock()  # a circuit must not get two breakers from two threads

POLICY = Policy(failing=_is_down, ignoring=(PeerNotCalled,), call_timeout=READ_TIMEOUT)


# The shop's own API, which the pages call as a browser does, and not through the mesh: users' tokens are the proof.
PUBLIC_API = "api"


@functools.cache
def _addresses(*, is_public: bool) -> Addresses:
    settings = config.load(Settings)
    if is_public or not settings.mesh_socket:
        return Registry(settings.namespace)
    from mercato.peers.sidecar import Sidecar  # without the mesh no function imports it

    return Sidecar(settings.mesh_socket)


def peer(name: str) -> ServiceClient:
    """The sandbox's one client of that peer. The circuit `peer-<name>` is the same for every function that calls it."""
    with _making:
        return _peer(name)


@functools.cache
def _peer(name: str) -> ServiceClient:
    return ServiceClient(name, _addresses(is_public=name == PUBLIC_API), breaker_for(f"peer-{name}", POLICY))


def reset() -> None:
    """Forgets all clients: for tests, and after a SnapStart restore."""
    _peer.cache_clear()
    _addresses.cache_clear()
