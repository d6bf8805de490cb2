"""The drawings of the demo's goods."""

from __future__ import annotations

import csv
import io

import pytest
from PIL import Image

from infra.local import pictures, seed
from products.renditions import render

ROWS = list(csv.DictReader(seed._CATALOGUE.read_text().splitlines()))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: str(row["sku"]))
def test_each_of_the_goods_has_a_drawing_that_the_shop_takes(row: dict[str, str]) -> None:
    drawn = pictures.draw(row["sku"], row["category"])
    assert Image.open(io.BytesIO(drawn)).size == (800, 600)
    smallest = render(drawn).renditions[0]
    assert smallest.size.width == 320
    assert len(smallest.content) < 10_000


def test_no_drawing_is_of_nothing() -> None:
    assert {row["sku"] for row in ROWS} == pictures.DRAWN
