"""The operator of a bad day or a storm, who does only what the runbook says."""

from __future__ import annotations

from collections import Counter

from infra.operator.client import Refused, Session, ShopError
from tests.chaos.repeated import Repeated


class Operator(Repeated):
    """Every few seconds resumes the parked sagas and redrives the dead letters. `did` counts these actions."""

    def __init__(self, admin: Session, every: float = 5.0) -> None:
        super().__init__(every)
        self._admin = admin
        self.did: Counter[str] = Counter()

    def act(self) -> None:
        try:
            self._look()
        except Refused as refused:
            self.did[f"was refused: {refused.slug}"] += 1
        except ShopError:
            self.did["asked in vain"] += 1

    def _look(self) -> None:
        for saga in self._admin.get("/ops/sagas", status="parked")["items"]:
            answer = {"action": "retry", "reason": "on call"}
            self._admin.post(f"/ops/sagas/{saga['saga']}/resume", answer)
            self.did[f"resumed {saga['step']}"] += 1
        for queue in self._admin.get("/ops/dlq")["items"]:
            if queue["messages"]:
                order = {"queue": queue["queue"], "dry_run": False, "note": "on call"}
                for result in self._admin.post("/ops/dlq/redrive", order)["items"]:
                    self.did[f"redrove from {result['queue']}"] += result["redriven"]
