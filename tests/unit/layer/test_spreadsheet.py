"""Cells that no spreadsheet takes for a formula."""

from __future__ import annotations

import ast
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.paths import ROOT
from mercato import spreadsheet


@pytest.mark.parametrize("text", ["=cmd|' /C calc'!A0", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", " =1", "＝1", "＠x"])
def test_a_formula_becomes_text(text: str) -> None:
    assert spreadsheet.cell_of(text) == f"'{text}"


@pytest.mark.parametrize("text", ["", "85123A", "a=b", "1-2", "cancellation"])
def test_other_text_stays_as_it_is(text: str) -> None:
    assert spreadsheet.cell_of(text) == text


@given(st.text(max_size=8) | st.text("='+ @-", max_size=6))
def test_the_text_can_be_read_back(text: str) -> None:
    assert spreadsheet.text_of(spreadsheet.cell_of(text)) == text


def test_every_cell_of_a_row_is_guarded() -> None:
    out = io.StringIO()
    spreadsheet.write(out, ("line", "value"), [(2, "=1+1"), (3, "ok")])
    assert out.getvalue() == "line,value\n2,'=1+1\n3,ok\n"


def test_no_other_module_writes_csv_for_people() -> None:
    """`catalogue.py` writes the body of an import, which the shop reads."""
    writers = {
        str(path.relative_to(ROOT))
        for folder in ("functions", "infra", "layers")
        for path in (ROOT / folder).rglob("*.py")
        if "riter" in (text := path.read_text(encoding="utf-8"))
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Attribute) and node.attr in {"writer", "DictWriter"}
    }
    assert writers == {"layers/common/mercato/spreadsheet.py", "infra/replay/catalogue.py"}
