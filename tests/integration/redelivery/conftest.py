"""Every service, by its name."""

from __future__ import annotations

from tests.integration.every_service import fixtures

globals().update(fixtures())
