"""The path of the file with real orders, which the replay, load and cost tests need."""

from __future__ import annotations

import os
from pathlib import Path

from infra.paths import ROOT

FILE = Path(os.environ.get("ONLINE_RETAIL") or ROOT.parent / "shared" / "data" / "online_retail.csv")
ABSENT = f"the real orders are not at {FILE}: ONLINE_RETAIL=‹path› names another place"
