"""Runs checkov, in checkov's own environment, with the tables of its JSONPath grammar made once.

checkov parses a path for each value that it fills in, and its library makes the tables of the grammar again for each,
which takes two thirds of a run. Checks and findings do not change.
"""

from __future__ import annotations

import sys
import warnings
from typing import Any

import ply.yacc
from checkov.main import Checkov


class TablesOnce(ply.yacc.LRGeneratedTable):  # type: ignore[misc]
    _made: dict[tuple[str, ...], ply.yacc.LRGeneratedTable] = {}

    def __init__(self, grammar: Any, *settings: Any) -> None:
        key = tuple(f"{production} {production.prec}" for production in grammar.Productions)
        if key not in self._made:
            super().__init__(grammar, *settings)
            self._made[key] = self
            return
        self.__dict__.update(vars(self._made[key]), lr_productions=grammar.Productions)


if __name__ == "__main__":
    ply.yacc.LRGeneratedTable = TablesOnce
    with warnings.catch_warnings(action="ignore", category=SyntaxWarning):
        sys.exit(Checkov().run())
