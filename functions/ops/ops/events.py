"""The events that ops stands for: what circuits tell, whichever function opened or closed them."""

from __future__ import annotations

from mercato.breaker.events import PUBLISHES

__all__ = ["PUBLISHES"]
