"""The events that ops owns: those of the circuits, from any function that opens or closes one."""

from __future__ import annotations

from mercato.breaker.events import PUBLISHES

__all__ = ["PUBLISHES"]
