"""The services that have an API, and what each is for."""

from __future__ import annotations

import ast

from infra.paths import ROOT

# By name; the text is the first line of the service's package.
SERVICES = {
    path.parent.name: (ast.get_docstring(ast.parse(path.with_name("__init__.py").read_text())) or "").partition("\n")[0]
    for path in sorted(ROOT.glob("functions/*/*/api.py"))
}
