"""What the tests of all services try with products. tests/kit/cases.py says what each list is for."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from mercato.http import View
from mercato.store.dynamo import Table
from products.api import ImportRow, ProductView
from products.domain import Availability
from products.store import Products
from tests.integration.products.conftest import BUCKET
from tests.kit import aws_events
from tests.kit.asked import Asked, asking
from tests.kit.cases import (
    Accepted,
    Data,
    Expiring,
    Given,
    Heard,
    Keyed,
    KeyedRequest,
    Largest,
    MayGo,
    OwnQueue,
    Refused,
    RefusedElsewhere,
)
from tests.kit.given import COSTLY, WIDE, money
from tests.kit.picture_files import photograph

# ---- requests that succeed


def _product(body: Any) -> Given:
    def product(service: Any) -> Asked:
        return Asked(f"/api/products/{service.add()['product_id']}", body, role="admin")

    return product


def _picture(body: Any = None) -> Given:
    def picture(service: Any) -> Asked:
        product_id = str(service.add()["product_id"])
        return Asked(f"/api/products/images/{product_id}/{service.await_image(product_id)}", body, role="admin")

    return picture


ACCEPTED = (
    Accepted("PATCH /api/products/{product_id}", _product({"version": 1, "name": "Red heart"})),
    Accepted("DELETE /api/products/{product_id}", _product(None)),
    Accepted("PATCH /api/products/images/{product_id}/{image_id}", _picture({"alt": "A red heart", "place": 0})),
    Accepted("DELETE /api/products/images/{product_id}/{image_id}", _picture()),
    Accepted("POST /api/products/lookup", asking("/api/products/lookup", {"product_ids": ["x"]}, role="peer")),
)

# ---- requests with an Idempotency-Key


_HEART = {"sku": "85123A", "name": "White hanging heart", "price": {"amount": 255, "currency": "GBP"}}
_CSV = "sku,name,price,currency\n22752,Nesting boxes,8.50,GBP\n"


def _adding(_: Any) -> KeyedRequest:
    return KeyedRequest("/api/products", _HEART, _HEART | {"name": "Other"})


def _picturing(service: Any) -> KeyedRequest:
    product_id = service.add(sku="PICTURED")["product_id"]
    return KeyedRequest(f"/api/products/images/{product_id}", {"alt": "A heart"}, {"alt": "Another heart"})


def _importing(_: Any) -> KeyedRequest:
    return KeyedRequest("/api/products/imports", _CSV, _CSV.replace("8.50", "9.50"))


KEYED = (
    Keyed("POST /api/products", _adding),
    Keyed("POST /api/products/imports", _importing),
    Keyed("POST /api/products/images/{product_id}", _picturing),
)

# ---- requests that are refused


_DRAFT = {"sku": "22752", "name": "Nesting boxes", "price": money(850)}


def _added(path: str, body: Any = None, *, discontinued: bool = False, **more: Any) -> Given:
    """A request about a product, whose id replaces `*` in the path."""

    def given(service: Any) -> Asked:
        product_id = service.add()["product_id"]
        if discontinued:
            assert service.call("DELETE", f"/{product_id}")[0] == 204
        return Asked(path.replace("*", product_id), body, role="admin", **more)

    return given


def _with_eight_pictures(service: Any) -> Asked:
    product_id = service.add()["product_id"]
    for _ in range(8):
        service.await_image(product_id)
    return Asked(f"/api/products/images/{product_id}", {}, role="admin")


def _import_of(text: str) -> Given:
    return asking("/api/products/imports", text, role="admin")


_ONE_PICTURE = "/api/products/images/{product_id}/{image_id}"
_NEW_PICTURE = "POST /api/products/images/{product_id}"
_ONE = "PATCH /api/products/{product_id}"
_IMPORTS = "POST /api/products/imports"
REFUSED = (
    Refused("POST /api/products", "sku-taken", _added("/api/products", _DRAFT | {"sku": "85123A"})),
    Refused("POST /api/products", "invalid-price", _added("/api/products", _DRAFT | {"price": money(1, "EUR")})),
    Refused(_ONE, "product-not-found", asking("/api/products/nothing", {"version": 1, "name": "X"}, role="admin")),
    Refused(_ONE, "product-discontinued", _added("/api/products/*", {"version": 2, "name": "X"}, discontinued=True)),
    Refused(_ONE, "stale-version", _added("/api/products/*", {"version": 7, "name": "X"})),
    Refused(_ONE, "invalid-price", _added("/api/products/*", {"version": 1, "name": "X", "price": money(0)})),
    Refused(
        "DELETE /api/products/{product_id}",
        "product-not-found",
        asking("/api/products/nothing", role="admin"),
    ),
    Refused(_NEW_PICTURE, "product-not-found", asking("/api/products/images/nothing", {}, role="admin")),
    Refused(_NEW_PICTURE, "product-discontinued", _added("/api/products/images/*", {}, discontinued=True)),
    Refused(_NEW_PICTURE, "too-many-images", _with_eight_pictures),
    Refused(f"PATCH {_ONE_PICTURE}", "product-not-found", asking("/api/products/images/nothing/i", {}, role="admin")),
    Refused(f"PATCH {_ONE_PICTURE}", "image-not-found", _added("/api/products/images/*/nothing", {"alt": ""})),
    Refused(f"DELETE {_ONE_PICTURE}", "product-not-found", asking("/api/products/images/nothing/i", role="admin")),
    Refused(_IMPORTS, "wrong-columns", _import_of("sku,name\n1,A\n")),
    Refused(_IMPORTS, "import-too-long", _import_of("sku,name,price,currency\n" + "1,A,1.00,GBP\n" * 20_000)),
)
REFUSED_ELSEWHERE = (
    RefusedElsewhere(
        "DELETE /api/products/{product_id}", "stale-version", "only where another change comes in between"
    ),
)

# ---- events


def _known_product(service: Any) -> Data:
    return {"product_id": str(service.add()["product_id"])}


def _in_stock(service: Any) -> Data:
    data = _known_product(service)
    service.deliver("inventory.restocked", data["product_id"], data | {"available": 9}, 1)
    return data


def _removed_picture(service: Any) -> Data:
    product_id, image_id = service.add_image()
    assert service.call("DELETE", f"/images/{product_id}/{image_id}")[0] == 204
    return {"product_id": product_id, "image_id": image_id}


HEARD = (
    Heard("products", "product.image_removed", _removed_picture),
    Heard("products", "inventory.low_stock", _in_stock),
    Heard("products", "inventory.restocked", _known_product),
)

# ---- messages of its own queues


def _uploaded(service: Any) -> Any:
    product_id = str(service.add()["product_id"])
    image_id = service.await_image(product_id)
    service.upload(product_id, image_id, photograph())
    return aws_events.object_created(BUCKET, f"uploads/{product_id}/{image_id}")


def _unusable(service: Any) -> Any:
    product_id = str(service.add()["product_id"])
    image_id = service.await_image(product_id)
    service.upload(product_id, image_id, b"no picture")
    return aws_events.object_created(BUCKET, f"uploads/{product_id}/{image_id}")


OWN_QUEUES = (
    OwnQueue("products.scaler", "products-uploads", _uploaded),
    OwnQueue("products.scaler", "products-uploads", _unusable),
)

# ---- items of lists


def _largest_product() -> View:
    about = dict.fromkeys(("product_id", "status"), "x" * 36) | {"availability": Availability.IN_STOCK}
    text = {"sku": "X" * 64, "name": WIDE * 200, "description": WIDE * 5000, "category": WIDE * 200}
    return ProductView(**about, **text, price=COSTLY, version=10**6)


def _largest_import() -> View:
    about = dict.fromkeys(("import_id", "actor", "state"), "x" * 64)
    counts = dict.fromkeys(("created", "updated", "unchanged", "refused"), 1000)
    return ImportRow(at=datetime(2026, 11, 28, tzinfo=UTC), **about, **counts)


LARGEST = (
    Largest("GET /api/products", _largest_product),
    Largest("GET /api/products/imports", _largest_import),
)

# ---- items that expire


def _report(table: Table, now: datetime) -> object:
    products = Products(table)
    before = products.get_report("report-1", now)
    products.save_report("report-1", {"created": 2}, now)
    return before, products.get_report("report-1", now)


def _rows(table: Table, now: datetime) -> object:
    Products(table).save_rows("report-1", [{"line": 2, "fields": ["A"]}], now)
    return Products(table).get_rows("report-1", now)


def _rows_again(table: Table, now: datetime) -> object:
    return Products(table).get_rows("report-1", now)


def _list_import(table: Table, now: datetime) -> object:
    Products(table).begin_report("report-1", "u-1", now)
    return None


def _imports(table: Table, now: datetime) -> object:
    return Products(table).list_reports(10, None, now)


EXPIRING = (
    Expiring("report of an import", "ProductsTable", ("products.store:Products.save_report",), _report, _report),
    Expiring("refused rows", "ProductsTable", ("products.store:Products.save_rows",), _rows, _rows_again),
    Expiring("import in the list", "ProductsTable", ("products.store:_listed",), _list_import, _imports),
)
MAY_GO = (MayGo("functions/products/products/store.py", "the report of an import, after 90 days; the products stay"),)
