"""All breakers of one sandbox: they share a store, one read, and its availability."""

from __future__ import annotations

import threading
from collections.abc import Mapping

from mercato.breaker.breaker import Breaker
from mercato.breaker.guarded_store import GuardedStore
from mercato.breaker.policy import Policy
from mercato.breaker.state import State
from mercato.breaker.store import Reading, Store
from mercato.breaker.timing import Clock


class Circuits:
    """Makes the sandbox's breakers and keeps their views fresh."""

    def __init__(self, store: Store, clock: Clock | None = None) -> None:
        self._store = GuardedStore(store, clock or Clock())
        self._members: dict[str, Breaker] = {}
        self._enlisted: set[str] = set()
        self._lock = threading.Lock()

    def breaker(self, name: str, policy: Policy) -> Breaker:
        """Makes the breaker of that name. Raises ValueError if it exists: share that one."""
        with self._lock:
            if name in self._members:
                raise ValueError(f"circuit {name} has a breaker in this sandbox already: share it")
            made = self._members[name] = Breaker(name, policy, self._store, refresh=self.refresh)
            return made

    def refresh_due(self) -> None:
        """Reports buffered outcomes, and reads all states if any view is due. Called when the response is computed."""
        members = list(self._members.values())
        for member in members:
            member.flush()
        if any(member.is_due() for member in members):
            self.refresh()

    def refresh(self) -> bool:
        """Returns False if the store gave no answer; then every breaker keeps its view."""
        members = dict(self._members)
        if not members:
            return False
        seen = {name: member.view for name, member in members.items()}
        reading = self._store.ask(lambda store: self._read(store, members))
        if reading is None:
            return False
        for name, state in reading.states.items():
            members[name].adopt(state, seen[name])
        return True

    def adopt(self, states: Mapping[str, State]) -> None:
        """Takes over states from a read that the function made anyway; see store.py for the keys."""
        for name, state in states.items():
            self._members[name].adopt(state)

    def _read(self, store: Store, members: Mapping[str, Breaker]) -> Reading:
        """Raises StoreFault."""
        new = set(members) - self._enlisted
        reading = store.read(list(members), new)
        for name in sorted(new):
            about = members[name].policy.describe()
            if reading.entries.get(name) != about:
                store.enlist(name, about)
        self._enlisted |= new
        return reading
