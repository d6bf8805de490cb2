"""Keeps the AWS clients of `mercato.aws` from one test to the next, because a client takes as long as a small test.

While moto is active, a session and its clients are made once for their settings and for the environment. After
`aws.reset()` the next test gets them again, unless a test could notice:
- A session or client whose event handlers were changed is not kept.
- After a repeated call no client is kept, because each has a quota of repetitions.
"""

from __future__ import annotations

import json
import os
import threading
from typing import Any

import pytest
from botocore.hooks import HierarchicalEmitter
from botocore.retries.quota import RetryQuota
from moto.core.models import botocore_stubber

from mercato.aws import clients
from mercato.aws.clients import Session

_lock = threading.RLock()
_sessions: dict[str, KeptSession] = {}


class KeptSession(Session):
    def __init__(self) -> None:
        super().__init__()
        self.kept: dict[tuple[str, str, str], Any] = {}
        mark_as_made(_events_of(self))

    def create_client(self, service_name: str, *args: Any, **kwargs: Any) -> Any:
        config = kwargs.get("config")
        if args or kwargs.keys() != {"config"} or is_changed(_events_of(self)) or not botocore_stubber.enabled:
            return super().create_client(service_name, *args, **kwargs)
        key = (service_name, _text_of(config), _environment())
        with _lock:
            found = self.kept.get(key)
            if found is None or is_changed(found.meta.events):
                found = super().create_client(service_name, config=config)
                mark_as_made(found.meta.events)
                self.kept[key] = found
            return found


def lend_session() -> Session:
    if not botocore_stubber.enabled:
        return Session()
    environment = _environment()
    with _lock:
        found = _sessions.get(environment)
        if found is None or is_changed(_events_of(found)):
            found = _sessions[environment] = KeptSession()
        return found


def patch_into(patch: pytest.MonkeyPatch) -> None:
    emitter_class: Any = HierarchicalEmitter
    register, unregister, acquire = emitter_class._register_section, emitter_class.unregister, RetryQuota.acquire

    def register_and_note(emitter: Any, *args: Any, **kwargs: Any) -> Any:
        emitter.is_changed = True
        return register(emitter, *args, **kwargs)

    def unregister_and_note(emitter: Any, *args: Any, **kwargs: Any) -> Any:
        emitter.is_changed = True
        return unregister(emitter, *args, **kwargs)

    def acquire_and_note(quota: RetryQuota, capacity_amount: int) -> Any:
        with _lock:
            _sessions.clear()
        return acquire(quota, capacity_amount)

    patch.setattr(emitter_class, "_register_section", register_and_note)
    patch.setattr(emitter_class, "unregister", unregister_and_note)
    patch.setattr(RetryQuota, "acquire", acquire_and_note)
    patch.setattr(clients, "Session", lend_session)


def _events_of(session: Any) -> Any:
    return session._events


def mark_as_made(events: Any) -> None:
    events._emitter.is_changed = False


def is_changed(events: Any) -> bool:
    """Whether handlers were added or removed since the client or session was made here."""
    return getattr(events._emitter, "is_changed", True)


def _text_of(config: Any) -> str:
    return json.dumps(config._user_provided_options, sort_keys=True, default=repr)


def _environment() -> str:
    return json.dumps({name: value for name, value in os.environ.items() if name.startswith("AWS_")}, sort_keys=True)
