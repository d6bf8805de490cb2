"""The services that have an API, and the purpose of each."""

from __future__ import annotations

import ast

from infra.paths import ROOT

# Service name → the first docstring line of its package.
SERVICES = {
    path.parent.name: (ast.get_docstring(ast.parse(path.with_name("__init__.py").read_text())) or "").partition("\n")[0]
    for path in sorted(ROOT.glob("functions/*/*/api.py"))
}
