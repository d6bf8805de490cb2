"""The mesh on this machine: its ingress, an Envoy in the place of API Gateway's domain, and the callers' sidecars."""

from __future__ import annotations

import shlex
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from infra import templates
from infra.local.child import Child
from infra.local.cloud import Cloud
from infra.local.processes import free_port, is_free
from infra.local.stack import Stack
from infra.paths import HOME
from infra.trouble import Trouble

INGRESS_ID = "spiffe://mercato/ingress"  # in its certificate, which MeshIssuer makes on the local cloud alone
_MODULE = "infra.local.mesh_ingress"


def envoy() -> str:
    """The path of Envoy's binary, which the project's own requirements have."""
    found = Path(sys.executable).with_name("envoy")
    if not found.exists():
        raise Trouble("Envoy is not installed", "Run `make setup`.")
    return str(found)


@dataclass(frozen=True)
class Sidecars:
    """How a function of the local cloud starts its sidecar. `ingress` is the local ingress's address and port.

    `weights_fresh` is the number of seconds after which a sidecar reads the versions' weights again, if it is not the
    sidecar's own.
    """

    ingress: str
    layer: Path
    weights_fresh: int | None = None

    @classmethod
    def of(cls, ingress: str, template: Path) -> Sidecars:
        """`template` is the built root template."""
        mesh = templates.read(template.parent / "Ingress" / "template.yaml")
        return cls(ingress, Path(mesh["Resources"]["MeshLayer"]["Properties"]["ContentUri"]))

    def starts(self, python: Path) -> str:
        """Lines for a function's bootstrap: they start the layer's extension and wait for its first reading. The
        function does not start without it, as on Lambda.

        The folder of the sockets and of the key is the sandbox's own, and goes with the cloud's temporary files.
        """
        fresh = f" MESH_WEIGHTS_FRESH={self.weights_fresh}" if self.weights_fresh else ""
        return f"""\
export MESH_INGRESS_ADDRESS={self.ingress} MESH_INGRESS_ID={INGRESS_ID} MESH_ENVOY={shlex.quote(envoy())}{fresh}
mesh=$(mktemp -d)
export MESH_SOCKET="$mesh/out.sock"
{shlex.quote(str(python))} -I {shlex.quote(str(self.layer / "extensions" / "mesh"))} &
while [ ! -e "$mesh/ready" ]; do kill -0 $! 2>/dev/null || exit 1; sleep 0.02; done
"""


class LocalIngress:
    """The process of the local ingress. It forwards calls that have a certificate of the mesh to the cloud."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self.port = free_port()
        self._files = HOME / f"mesh-{cloud.port}"
        self.child = Child(
            "the mesh's ingress", _MODULE, self._files.with_suffix(".pid"), self._files.with_suffix(".log")
        )

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(self, stack: Stack) -> None:
        """Starts the ingress of a deployed stack. Its certificate is in the stack's secrets."""
        shutil.rmtree(self._files, ignore_errors=True)
        environment = self._cloud.environment | {"MERCATO_MESH_PROOF": self._cloud.mesh_proof}
        arguments = (str(self.port), str(self._cloud.port), str(self._files))
        identity, bucket = stack.secrets["IngressIdentity"], stack.outputs["MeshTrustBucket"]
        self.child.start(*arguments, identity, bucket, env=environment, answers=lambda: not is_free(self.port))

    def stop(self) -> None:
        self.child.stop()
        shutil.rmtree(self._files, ignore_errors=True)
