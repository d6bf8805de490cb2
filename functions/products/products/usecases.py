"""The use cases of products. All are idempotent: the conditions on sku and version make them so."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, field
from datetime import datetime
from typing import Any, Protocol

from mercato.dataclass import dataclass
from mercato.errors import NotFound
from mercato.ids import new_id
from mercato.store.retry import RESEND_ATTEMPTS, retry_on_conflict
from products import domain, images, importing
from products.domain import Changed, Draft, Product, ProductDiscontinued, SkuTaken, StaleVersion
from products.events import ImageEvent, image_announcements
from products.images import Image, Images, ImagesMoved, Size
from products.importing import Refusal

_ATTEMPTS = 8  # as many uploads as a product may have pictures may be scaled at once


class Store(Protocol):
    def get(self, product_id: str) -> Product: ...

    def get_by_skus(self, skus: Iterable[str]) -> dict[str, Product]: ...

    def save(self, changed: Changed, now: datetime) -> None: ...

    def save_all(self, changes: Sequence[Changed], now: datetime) -> list[Changed]: ...

    def begin_report(self, report_id: str, actor: str, now: datetime) -> None: ...

    def save_images(self, product: Product, images: Images, events: Sequence[ImageEvent], now: datetime) -> Product: ...

    def save_report(self, report_id: str, report: dict[str, Any], now: datetime, actor: str = "") -> None: ...

    def get_report(self, report_id: str, now: datetime) -> dict[str, Any] | None: ...

    def save_rows(self, report_id: str, rows: list[dict[str, Any]], now: datetime) -> None: ...

    def get_rows(self, report_id: str, now: datetime) -> list[dict[str, Any]]: ...


class ImportNotFound(NotFound):
    """No import has this id, or its report has expired."""


@dataclass(frozen=True)
class Imported:
    sku: str
    product_id: str


@dataclass(frozen=True)
class Report:
    """The result of an import: the rows' products as they are now, and the refused rows."""

    import_id: str
    created: int
    updated: int
    unchanged: int
    products: list[Imported]
    refused: list[Refusal]
    separator: str = ","
    columns: list[str] = field(default_factory=list)


def add_product(draft: Draft, currency: str, store: Store, product_id: str, now: datetime) -> Product:
    """`product_id` is derived from the request, so that a retry after a crash finds the product it created."""
    product = domain.create(draft, currency, product_id, now)
    try:
        store.save(Changed(None, product), now)
    except SkuTaken:
        made = store.get_by_skus([product.sku]).get(product.sku)
        if made is None or made.product_id != product_id:
            raise
        return made
    return product


def change_product(
    product_id: str, changes: Mapping[str, Any], version: int, currency: str, store: Store, now: datetime
) -> Product:
    """`version` is the version that the caller has read. Idempotent: a retry of the last change finds it done, also a
    retry that runs at once.
    """

    def write(before: Product) -> Product:
        if before.version == version + 1 and domain.has(before, currency, **changes):
            return before
        if before.version != version:
            raise StaleVersion(
                f"{before.sku} is at version {before.version}, not {version}; read it again and repeat your change.",
                version=before.version,
            )
        after = domain.change(before, currency, **changes)
        if after is not before:
            store.save(Changed(before, after), now)
        return after

    return retry_on_conflict(lambda: store.get(product_id), write, conflict=StaleVersion, attempts=RESEND_ATTEMPTS)


def discontinue_product(product_id: str, store: Store, now: datetime) -> None:
    before = store.get(product_id)
    after = domain.discontinue(before)
    if after is not before:
        store.save(Changed(before, after), now)


def expect_image(product_id: str, image_id: str, alt: str | None, store: Store, now: datetime) -> Image:
    """`image_id` is derived from the request, so that a retry after a crash finds the picture that it added."""

    def change(product: Product) -> Images:
        if not product.is_active:
            raise ProductDiscontinued(f"{product.sku} is discontinued.")
        return images.expect(images.present(product.images, now), image_id, alt, now)

    product = change_images(product_id, change, store, now)
    return next(image for image in product.images if image.image_id == image_id)


def change_image(product_id: str, image_id: str, changes: Mapping[str, Any], store: Store, now: datetime) -> Product:
    """`changes` may have `alt` and `place`."""

    def change(product: Product) -> Images:
        found = images.present(product.images, now)
        images.get(found, image_id)
        if "alt" in changes:
            found = images.describe(found, image_id, changes["alt"])
        return images.move(found, image_id, changes["place"]) if "place" in changes else found

    return change_images(product_id, change, store, now)


def remove_image(product_id: str, image_id: str, store: Store, now: datetime) -> Product:
    return change_images(product_id, lambda product: images.remove(product.images, image_id), store, now)


def accept_image(
    product_id: str, image_id: str, digest: str, sizes: Sequence[Size], store: Store, now: datetime
) -> None:
    change_images(product_id, lambda product: images.accept(product.images, image_id, digest, sizes), store, now)


def refuse_image(product_id: str, image_id: str, reason: str, store: Store, now: datetime) -> None:
    change_images(product_id, lambda product: images.refuse(product.images, image_id, reason, now), store, now)


def change_images(product_id: str, change: Callable[[Product], Images], store: Store, now: datetime) -> Product:
    """Writes what `change` makes of the product's pictures, and returns the product with them. `change` decides again
    if another request has changed them in between.
    """

    def write(product: Product) -> Product:
        after = change(product)
        if after == product.images:
            return product
        return store.save_images(product, after, image_announcements(product_id, product.images, after), now)

    return retry_on_conflict(
        lambda: store.get(product_id),
        write,
        conflict=ImagesMoved,
        attempts=_ATTEMPTS,
        exhausted=f"the pictures of {product_id} keep changing",
    )


@dataclass(frozen=True)
class Upload:
    """A file to import. `charset` is the declared one, `actor` the user who sent it."""

    body: bytes
    charset: str | None
    actor: str


def import_products(file: Upload, currency: str, store: Store, report_id: str, now: datetime) -> Report:
    """Saves the valid rows and reports the others. A retry of an interrupted import reports the rows that it had saved
    as unchanged.
    """
    rows = importing.read_rows(file.body, currency, file.charset)
    store.begin_report(report_id, file.actor, now)
    known = store.get_by_skus(row.draft.sku for row in rows.valid)
    plan = importing.plan(rows.valid, known, currency, lambda: new_id(now), now)
    fields = {row.line: row.fields for row in rows.valid}
    lost = {id(changed) for changed in store.save_all([changed for _, changed in plan.changes], now)}
    overtaken = [
        Refusal(
            line,
            changed.after.sku,
            "changed by another request during the import; import it again",
            fields=fields[line],
        )
        for line, changed in plan.changes
        if id(changed) in lost
    ]
    saved = [changed for _, changed in plan.changes if id(changed) not in lost]
    report = Report(
        import_id=report_id,
        created=sum(changed.before is None for changed in saved),
        updated=sum(changed.before is not None for changed in saved),
        unchanged=len(plan.unchanged),
        products=[
            Imported(product.sku, product.product_id)
            for product in [changed.after for changed in saved] + plan.unchanged
        ],
        refused=sorted(rows.refused + plan.refused + overtaken, key=lambda refusal: refusal.line),
        separator=rows.separator,
        columns=list(rows.columns),
    )
    store.save_rows(report_id, [asdict(refusal) for refusal in report.refused], now)
    store.save_report(report_id, asdict(report) | {"refused": len(report.refused)}, now, file.actor)
    return report


def read_report(report_id: str, store: Store, now: datetime) -> Report:
    found = store.get_report(report_id, now)
    if found is None:
        raise ImportNotFound(f"There is no import {report_id}.")
    imported = [Imported(**product) for product in found["products"]]
    # Reports of earlier releases hold the refused rows themselves.
    rows = found["refused"] if isinstance(found["refused"], list) else store.get_rows(report_id, now)
    return Report(**found | {"products": imported, "refused": [Refusal(**row) for row in rows]})
