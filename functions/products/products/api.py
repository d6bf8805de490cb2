"""Products over HTTP."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Annotated, Any, Self

from pydantic import Field

from mercato.clock import utc_now
from mercato.http import (
    ADMIN,
    PEER,
    PUBLIC,
    WATCH,
    App,
    Body,
    Created,
    Cursor,
    IdempotencyKey,
    NoContent,
    Query,
    RawBody,
    View,
)
from mercato.http.auth import Caller
from mercato.http.health import table_and_queue
from mercato.http.idempotency import Keyed, answer_once
from mercato.ids import new_id
from mercato.money import MAX_AMOUNT, Money
from mercato.text import AltText, Description, Exact, ProductName, SearchQuery, TaxClass
from products import images, usecases
from products.bucket import path_of
from products.catalogue import Filters, Found, Sort
from products.domain import (
    STANDARD,
    Availability,
    Draft,
    InvalidFilters,
    InvalidPriceRange,
    Product,
    TooManyProducts,
    WeightGrams,
)
from products.images import Image, State
from products.importing import Refusal
from products.usecases import Report
from products.wiring import ports
from products.words import Asked

app = App("products", health=table_and_queue)
handler = app.handler

Price = Annotated[int, Field(ge=0, le=MAX_AMOUNT)]
_MOST_LOOKED_UP = 100
_LONGEST_IMPORT = timedelta(minutes=1)  # the function's timeout is shorter
ProductId = Annotated[str, Exact(), Field(min_length=1, max_length=200)]


# A path of the console's site, which is the only one that an upload may lead to.
ConsolePath = Annotated[str, Exact(), Field(max_length=500, pattern=r"^(/console/[A-Za-z0-9/._~?&=%-]*)?$")]


class NewProduct(Body, Draft):
    """The body of a request that creates a product."""


class ProductChanges(Body):
    """`version` is the version that the caller has read. Fields that are left out stay. A null category removes it."""

    version: int
    name: ProductName = ""
    description: Description = ""
    category: ProductName | None = None
    price: Money | None = None
    weight_grams: WeightGrams = 0
    tax_class: TaxClass = STANDARD

    def given(self) -> dict[str, Any]:
        found = {name: getattr(self, name) for name in self.model_fields_set - {"version"}}
        return found | ({"category": found["category"] or ""} if "category" in found else {})


class CsvFile(RawBody):
    """A catalogue with one product per line: sku, name, price, currency, and optionally description, category,
    weight_grams and tax_class.

    Separated by commas, semicolons or tabs; UTF-8, UTF-16 with its byte order mark, or the declared charset.
    """

    media_type = "text/csv"
    example = "sku,name,price,currency,category\n85123A,White hanging heart,2.55,GBP,Lighting\n"


class Lookup(Body):
    product_ids: Annotated[list[ProductId], Field(max_length=500)]


ProductIds = Annotated[str, Exact(), Field(max_length=6500)]


class CatalogueQuery(Query):
    """Prices are in minor units, inclusive. A search without a sort returns the order of the search index. `ids` are up
    to 100 product ids, separated by commas: the answer has those products in that order, also those that are no longer
    sold, on one page. No other filter may stand beside it.
    """

    ids: ProductIds = ""
    q: SearchQuery = ""
    category: ProductName | None = None
    min_price: Price | None = None
    max_price: Price | None = None
    sort: Sort | None = None
    limit: Annotated[int, Field(ge=1, le=100)] = 20
    cursor: Cursor | None = None

    def asked_ids(self) -> list[str]:
        """Raises InvalidFilters, TooManyProducts."""
        if beside := sorted(self.model_fields_set - {"ids"}):
            raise InvalidFilters(f"ids takes no other filter beside it, and there is {beside[0]}.")
        return _ids_of("ids", self.ids)

    @property
    def filters(self) -> Filters:
        if self.min_price is not None and self.max_price is not None and self.min_price > self.max_price:
            raise InvalidPriceRange("min_price is above max_price.")
        return Filters(self.category, self.min_price, self.max_price)


class ProductQuery(Query):
    related: Annotated[int, Field(ge=0, le=20)] = 0


class NewImage(Body):
    """`alt` says what the picture shows; "" for one that only decorates. Without it, the picture is not shown yet."""

    alt: AltText | None = None
    return_to: ConsolePath = ""


class ImageChanges(Body):
    """Fields that are left out stay. A null `alt` takes the picture out of the shop until it is described. `place`
    counts from 0.
    """

    alt: AltText | None = None
    place: Annotated[int, Field(ge=0, lt=images.MOST)] = 0


class ImageQuery(Query):
    return_to: ConsolePath = ""


class VariantView(View):
    url: str
    width: int
    height: int


class ImageView(View):
    """`url`, `width` and `height` are those of the largest of `variants`, which are the same picture in several widths,
    from small to large. They are paths on the shop's site, and what is at a path never changes. A picture that is
    `awaited` or `refused` has none. The shop shows pictures that are `ready` and have an `alt`.
    """

    id: str
    state: State
    alt: str | None
    url: str | None
    width: int | None
    height: int | None
    variants: list[VariantView]

    @classmethod
    def of(cls, image: Image) -> Self:
        return cls(**_image_fields(image))


def _image_fields(image: Image) -> dict[str, Any]:
    variants = [
        VariantView(url=path_of(image.image_id, image.digest, size), width=size.width, height=size.height)
        for size in image.sizes
    ]
    largest = vars(variants[-1]) if variants else dict.fromkeys(("url", "width", "height"))
    return {"id": image.image_id, "state": image.state, "alt": image.alt, "variants": variants} | largest


class UploadView(View):
    """A form for the file: a multipart POST to `url` with `fields`, and after them the file in the field `file`."""

    url: str
    fields: dict[str, str]
    expires_at: datetime
    max_bytes: int


class StaffImageView(ImageView):
    """`upload` is there while the file is awaited, and `reason` says why it was refused."""

    reason: str | None
    upload: UploadView | None

    @classmethod
    def with_upload(cls, product_id: str, image: Image, return_to: str, now: datetime) -> Self:
        upload = None
        if image.state is State.AWAITED:
            back = f"{ports().settings.console_url}{return_to}" if return_to else ""
            form = ports().bucket.form(product_id, image.image_id, back, now)
            upload = UploadView(
                url=form.url, fields=form.fields, expires_at=form.expires_at, max_bytes=images.MAX_BYTES
            )
        return cls(**_image_fields(image), reason=image.reason or None, upload=upload)


class StaffImages(View):
    items: list[StaffImageView]


class ProductView(View):
    """`images` are the pictures that the shop shows, in their order."""

    product_id: str
    sku: str
    name: str
    description: str
    category: str | None
    price: Money
    availability: Availability
    status: str
    version: int
    weight_grams: int = 0
    tax_class: str = STANDARD
    images: list[ImageView] = []

    @classmethod
    def of(cls, product: Product) -> Self:
        return cls(**{name: getattr(product, name) for name in ProductView.model_fields} | {"images": _shown(product)})


def _shown(product: Product) -> list[ImageView]:
    return [ImageView.of(image) for image in product.images if image.is_shown]


class ProductWithOthers(ProductView):
    """`related` are other products of its category, by name, as many as were asked for and are for sale."""

    related: list[ProductView]


class Count(View):
    value: str
    count: int


class Facets(View):
    """The number of active products by category in the whole catalogue. Filters do not narrow it."""

    category: list[Count]


class CataloguePage(View):
    """The first page of a list has `facets`. A search has none, because its counts are not stored."""

    items: list[ProductView]
    next_cursor: str | None
    facets: Facets | None = None


class RefusalView(View):
    """`column` and the beginning of its `value` are empty where the reason is of the whole row."""

    line: int
    sku: str
    reason: str
    column: str
    value: str

    @classmethod
    def of(cls, found: Refusal) -> Self:
        return cls(**{name: getattr(found, name) for name in cls.model_fields})


class ImportedView(View):
    sku: str
    product_id: str


class ReportView(View):
    import_id: str
    created: int
    updated: int
    unchanged: int
    products: list[ImportedView]
    refused: list[RefusalView]

    @classmethod
    def of(cls, report: Report) -> Self:
        refused = [RefusalView.of(found) for found in report.refused]
        imported = [ImportedView(sku=product.sku, product_id=product.product_id) for product in report.products]
        counts = {name: getattr(report, name) for name in ("import_id", "created", "updated", "unchanged")}
        return cls(**counts, products=imported, refused=refused)


class RefusedRowView(View):
    """`fields` is the row, in the order of the columns; empty for a row that is no CSV."""

    line: int
    fields: list[str]


class RefusedRowsView(View):
    """`separator` and `columns` are those of the imported file, so the rows can be mended and sent again."""

    separator: str
    columns: list[str]
    rows: list[RefusedRowView]


class ImportsQuery(Query):
    limit: Annotated[int, Field(ge=1, le=100)] = 50
    cursor: Cursor | None = None


class ImportRow(View):
    """`state` is `running` or `done`; `interrupted` where an import has run for longer than any may. The same file sent
    again then reports what was written as unchanged. `actor` is the user who sent it, `at` when it began.
    """

    import_id: str
    at: datetime
    actor: str
    state: str
    created: int
    updated: int
    unchanged: int
    refused: int


class ImportsPage(View):
    items: list[ImportRow]
    next_cursor: str | None


class LookupQuery(Query):
    """`product_ids` are up to 100 ids, separated by commas."""

    product_ids: Annotated[ProductIds, Field(min_length=1)]


class ProductSummary(View):
    """`available` is null above the low-stock threshold. `stock_sequence` orders it among the stock's events."""

    product_id: str
    sku: str
    name: str
    price: Money
    status: str
    version: int
    available: int | None
    stock_sequence: int
    weight_grams: int = 0
    tax_class: str = STANDARD
    category: str | None = None
    images: list[ImageView] = []


class Summaries(View):
    products: list[ProductSummary]


def _ids_of(name: str, text: str) -> list[str]:
    """Each id once, in its order."""
    ids = [one for one in dict.fromkeys(text.split(",")) if one]
    if len(ids) > _MOST_LOOKED_UP or any(len(one) > 200 for one in ids):
        raise TooManyProducts(f"{name} takes up to {_MOST_LOOKED_UP} ids of 200 characters each.")
    return ids


@app.get("/api/products", role=(PUBLIC, PEER), limit=WATCH)
def list_products(query: CatalogueQuery) -> CataloguePage:
    if query.ids:
        ids = query.asked_ids()
        known = ports().products.get_many(ids)
        return CataloguePage(items=[ProductView.of(known[one]) for one in ids if one in known], next_cursor=None)
    found = _find(query)
    facets = None
    if not query.q and query.cursor is None:
        counts = sorted(ports().products.count_by_category().items())
        facets = Facets(category=[Count(value=value, count=count) for value, count in counts])
    items = [ProductView.of(product) for product in found.items]
    return CataloguePage(items=items, next_cursor=found.next_cursor, facets=facets)


def _find(query: CatalogueQuery) -> Found:
    if not query.q.strip():
        return ports().catalogue.browse(query.filters, query.sort or Sort.NAME, query.limit, query.cursor)
    readings = Asked.readings(query.q)
    if not readings:
        return Found([], None)
    if query.sort is None:
        return ports().catalogue.search(readings, query.filters, query.limit, query.cursor)
    return ports().catalogue.search_sorted(readings, query.filters, query.sort, query.limit, query.cursor)


@app.get("/api/products/{product_id}", role=(PUBLIC, PEER), limit=WATCH)
def show_product(product_id: str, query: ProductQuery) -> ProductWithOthers:
    product = ports().products.get(product_id)
    others: list[ProductView] = []
    if query.related and product.category:
        found = ports().catalogue.browse(Filters(category=product.category), Sort.NAME, query.related + 1, None)
        others = [ProductView.of(one) for one in found.items if one.product_id != product_id]
    return ProductWithOthers(**vars(ProductView.of(product)), related=others[: query.related])


@app.post("/api/products", role=ADMIN)
def add_product(new: NewProduct, caller: Caller, key: IdempotencyKey) -> Created[ProductView]:
    now, asked = utc_now(), Keyed.read("POST /api/products", caller, key, new)

    def add() -> Created[ProductView]:
        product = usecases.add_product(new, ports().settings.currency, ports().products, asked.id, now)
        return Created(ProductView.of(product), f"/api/products/{product.product_id}")

    return answer_once(asked, ports().table, now, add)


@app.patch("/api/products/{product_id}", role=ADMIN)
def change_product(product_id: str, changes: ProductChanges) -> ProductView:
    currency = ports().settings.currency
    product = usecases.change_product(
        product_id, changes.given(), changes.version, currency, ports().products, utc_now()
    )
    return ProductView.of(product)


@app.delete("/api/products/{product_id}", role=ADMIN)
def discontinue_product(product_id: str) -> NoContent:
    usecases.discontinue_product(product_id, ports().products, utc_now())
    return NoContent()


@app.post("/api/products/lookup", role=PEER)
def look_up(asked: Lookup) -> Summaries:
    return _summaries(asked.product_ids)


def _summaries(product_ids: list[str]) -> Summaries:
    found = ports().products.get_many(product_ids)
    names = ProductSummary.model_fields
    return Summaries(
        products=[
            ProductSummary(**{name: getattr(one, name) for name in names} | {"images": _shown(one)})
            for one in found.values()
        ]
    )


@app.get("/api/products/lookup", role=ADMIN, limit=WATCH)
def look_up_for_staff(query: LookupQuery) -> Summaries:
    """Names the products with these ids, also those that are no longer sold."""
    return _summaries(_ids_of("product_ids", query.product_ids))


@app.get("/api/products/imports", role=ADMIN, limit=WATCH)
def list_imports(query: ImportsQuery) -> ImportsPage:
    """Lists the imports of the last 90 days, the newest first."""
    now = utc_now()
    items, next_cursor = ports().products.list_reports(query.limit, query.cursor, now)
    return ImportsPage(items=[_import_row(item, now) for item in items], next_cursor=next_cursor)


def _import_row(item: Mapping[str, Any], now: datetime) -> ImportRow:
    about = {name: item[name] for name in ImportRow.model_fields}
    at = datetime.fromisoformat(item["at"])
    if item["state"] == "running" and now - at > _LONGEST_IMPORT:
        about["state"] = "interrupted"
    return ImportRow(**about | {"at": at})


@app.post("/api/products/imports", role=ADMIN)
def import_products(file: CsvFile, caller: Caller, key: IdempotencyKey) -> Created[ReportView]:
    """Imports products from CSV. Idempotent: after a crash, a retry reports rows already written as unchanged."""
    now, asked = utc_now(), Keyed.read("POST /api/products/imports", caller, key, bytes(file))

    def load() -> Created[ReportView]:
        upload = usecases.Upload(file, file.charset, caller.user_id)
        report = usecases.import_products(upload, ports().settings.currency, ports().products, new_id(now), now)
        return Created(ReportView.of(report), f"/api/products/imports/{report.import_id}")

    return answer_once(asked, ports().table, now, load)


@app.get("/api/products/imports/{import_id}/rows", role=ADMIN, limit=WATCH)
def show_refused_rows(import_id: str) -> RefusedRowsView:
    """Shows the refused rows of an import as they were read."""
    report = usecases.read_report(import_id, ports().products, utc_now())
    rows = [RefusedRowView(line=found.line, fields=list(found.fields)) for found in report.refused]
    return RefusedRowsView(separator=report.separator, columns=report.columns, rows=rows)


@app.get("/api/products/imports/{import_id}", role=ADMIN)
def show_import(import_id: str) -> ReportView:
    return ReportView.of(usecases.read_report(import_id, ports().products, utc_now()))


# The gateway sends every GET below /api/products/{product_id} to the function that the public may call, so the staff's
# view of the pictures has a path of its own.
@app.get("/api/products/images/{product_id}", role=ADMIN)
def list_images(product_id: str, query: ImageQuery) -> StaffImages:
    """All pictures of a product, in their order, also those that the shop does not show."""
    now = utc_now()
    found = images.present(ports().products.get(product_id).images, now)
    return StaffImages(items=[StaffImageView.with_upload(product_id, image, query.return_to, now) for image in found])


@app.post("/api/products/images/{product_id}", role=ADMIN)
def add_image(product_id: str, new: NewImage, caller: Caller, key: IdempotencyKey) -> Created[StaffImageView]:
    """Makes room for a picture, and answers with a form to upload its file. The file is awaited for a day; the form is
    good for a quarter of an hour, and reading the picture again gives a new one.
    """
    now = utc_now()
    asked = Keyed.read("POST /api/products/images/{product_id}", caller, key, new, product_id)

    def add() -> Created[StaffImageView]:
        image = usecases.expect_image(product_id, asked.id, new.alt, ports().products, now)
        view = StaffImageView.with_upload(product_id, image, new.return_to, now)
        return Created(view, f"/api/products/images/{product_id}/{image.image_id}")

    return answer_once(asked, ports().table, now, add)


@app.get("/api/products/images/{product_id}/{image_id}", role=ADMIN)
def show_image(product_id: str, image_id: str, query: ImageQuery) -> StaffImageView:
    now = utc_now()
    image = images.get(images.present(ports().products.get(product_id).images, now), image_id)
    return StaffImageView.with_upload(product_id, image, query.return_to, now)


@app.patch("/api/products/images/{product_id}/{image_id}", role=ADMIN)
def change_image(product_id: str, image_id: str, changes: ImageChanges) -> StaffImageView:
    now = utc_now()
    product = usecases.change_image(product_id, image_id, changes.model_dump(exclude_unset=True), ports().products, now)
    return StaffImageView.with_upload(product_id, images.get(product.images, image_id), "", now)


@app.delete("/api/products/images/{product_id}/{image_id}", role=ADMIN)
def remove_image(product_id: str, image_id: str) -> NoContent:
    """Removes the picture from the shop at once, and its files a moment later. A cache may keep a file that it has."""
    usecases.remove_image(product_id, image_id, ports().products, utc_now())
    return NoContent()
