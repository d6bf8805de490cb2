"""The parts of the service, each imported, and made from the environment, at its first use."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from mercato.config import load
from mercato.dataclass import dataclass
from mercato.store.dynamo import Table

if TYPE_CHECKING:
    from mercato.breaker.store import DynamoStore
    from mercato.http.audit import AuditTrail
    from mercato.peers.transport import Sender
    from ops.dead_letters.audit import RedriveAudit
    from ops.health.registry import CloudMap
    from ops.health.store import ProbeStore
    from ops.journal.store import Journal
    from ops.sagas.executions import Executions
    from ops.sagas.store import SagaStore
    from ops.scans import Scans


@dataclass(frozen=True)
class Settings:
    table_name: str


@dataclass(frozen=True)
class ApiSettings:
    """`mesh` is empty where the mesh is off."""

    circuits_table: str
    state_machine_arn: str
    namespace: str
    audit_table: str
    queue_prefix: str
    mesh: str = ""


@dataclass(frozen=True)
class JournalSettings:
    journal_table: str


@dataclass(frozen=True)
class ProberSettings:
    """`services`: the Cloud Map id of each, as `orders=srv-1,users=srv-2`. `sources`: names of tables and queues.
    `mesh_socket` is where the mesh's sidecar listens; empty where the mesh is off.
    """

    namespace: str
    services: str
    sources: str
    mesh_socket: str = ""

    def service_ids(self) -> dict[str, str]:
        return dict(entry.split("=", 1) for entry in self.services.split(","))


class Ports:
    @functools.cached_property
    def table(self) -> Table:
        return Table(load(Settings).table_name)

    @functools.cached_property
    def api(self) -> ApiSettings:
        return load(ApiSettings)

    @functools.cached_property
    def prober(self) -> ProberSettings:
        return load(ProberSettings)

    @functools.cached_property
    def sagas(self) -> SagaStore:
        from ops.sagas.store import SagaStore

        return SagaStore(self.table)

    @functools.cached_property
    def executions(self) -> Executions:
        from ops.sagas.executions import Executions

        return Executions(self.api.state_machine_arn)

    @functools.cached_property
    def circuits(self) -> DynamoStore:
        from mercato.breaker.store import DynamoStore

        return DynamoStore(self.api.circuits_table, attempts=3)

    @functools.cached_property
    def audit_trail(self) -> AuditTrail:
        from mercato.http.audit import AuditTrail

        return AuditTrail(Table(self.api.audit_table))

    @functools.cached_property
    def journal(self) -> Journal:
        from ops.journal.store import Journal

        return Journal(Table(load(JournalSettings).journal_table))

    @functools.cached_property
    def redrive_audit(self) -> RedriveAudit:
        from ops.dead_letters.audit import RedriveAudit

        return RedriveAudit(self.table)

    @functools.cached_property
    def scans(self) -> Scans:
        from ops.scans import Scans

        return Scans(self.table)

    @functools.cached_property
    def probes(self) -> ProbeStore:
        from ops.health.store import ProbeStore

        return ProbeStore(self.table)

    @functools.cached_property
    def cloud_map(self) -> CloudMap:
        from ops.health.registry import CloudMap

        return CloudMap(self.prober.namespace, self.prober.service_ids())

    @functools.cached_property
    def transport(self) -> Sender:
        from mercato.peers.transport import Transport

        if not self.prober.mesh_socket:
            return Transport(connections=10)
        from mercato.peers.sidecar import MeshTransport

        return MeshTransport(self.prober.mesh_socket, connections=10)


@functools.cache
def ports() -> Ports:
    return Ports()
