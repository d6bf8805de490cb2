"""The request and response bodies of promotions."""

from typing import Annotated, Any, Self

from pydantic import Field

from mercato.clock import in_milliseconds, rfc3339
from mercato.http import Body, Cursor, Moment, Query, View
from mercato.money import MAX_AMOUNT, Currency, Money
from mercato.text import EmailAddress, Exact, ProductName, ShortReason
from promotions.domain import CODE, MAX_CODES, MAX_LIMIT, MAX_PRODUCTS, WHOLE, Basket, Coupon, Evaluation, Goods, Kind

Code = Annotated[str, Exact(), Field(pattern=CODE, examples=["AUTUMN-10"])]
ProductId = Annotated[str, Exact(), Field(min_length=1, max_length=64)]
ProductIds = Annotated[list[ProductId], Field(max_length=MAX_PRODUCTS)]
BasisPoints = Annotated[int, Field(ge=1, le=WHOLE, examples=[1000])]
Uses = Annotated[int, Field(ge=1, le=MAX_LIMIT)]
_MomentText = Annotated[str, Field(json_schema_extra={"format": "date-time"})]
Version = Annotated[int, Field(ge=1, le=2**53 - 1)]


class _Terms(Body):
    """The fields that a new coupon and a change of one share. NewCoupon describes them, for the contract."""

    basis_points: BasisPoints | None = None
    amount: Money | None = None
    minimum: Money | None = None
    product_ids: ProductIds = []
    category: ProductName | None = None
    valid_from: Moment | None = None
    valid_until: Moment | None = None
    limit: Uses | None = None
    limit_per_customer: Uses | None = None
    combines: bool = False

    def given(self) -> dict[str, Any]:
        """The given fields, as a coupon has them. Times are in milliseconds, as they are stored."""
        found = {name: getattr(self, name) for name in self.model_fields_set}
        for name in ("valid_from", "valid_until"):
            if found.get(name):
                found[name] = in_milliseconds(found[name])
        return found | ({"product_ids": tuple(dict.fromkeys(found["product_ids"]))} if "product_ids" in found else {})


class NewCoupon(_Terms):
    """If `code` is left out, the shop makes a code that cannot be guessed. The buyer reads the `description`.

    `basis_points` belong to the kind percentage: 1,000 are 10 %. `amount` belongs to the kind amount. `minimum` is
    the least value of all goods, before discounts. Without `product_ids` and `category` a coupon applies to all goods.
    """

    code: Code | None = None
    description: ShortReason
    kind: Kind


class CouponChanges(_Terms):
    """`version` is the version that the caller has read. Fields that are left out stay; null removes one. The others
    are those of a new coupon.
    """

    version: Version
    description: ShortReason | None = None

    def given(self) -> dict[str, Any]:
        found = super().given()
        del found["version"]
        if found.get("description") is None:
            found.pop("description", None)
        return found


class CouponView(View):
    """`used` counts the uses of orders that are being placed or are placed. An order that is undone frees its own."""

    code: str
    description: str
    kind: Kind
    basis_points: int | None
    amount: Money | None
    minimum: Money | None
    product_ids: list[str]
    category: str | None
    valid_from: _MomentText | None
    valid_until: _MomentText | None
    limit: int | None
    limit_per_customer: int | None
    combines: bool
    used: int
    version: int
    created_at: _MomentText
    ended_at: _MomentText | None

    @classmethod
    def of(cls, coupon: Coupon, used: int) -> Self:
        times = {
            name: rfc3339(moment) if (moment := getattr(coupon, name)) else None
            for name in ("valid_from", "valid_until", "created_at", "ended_at")
        }
        return cls(**vars(coupon) | times | {"product_ids": list(coupon.product_ids), "used": used})


class CouponsQuery(Query):
    limit: Annotated[int, Field(ge=1, le=100)] = 50
    cursor: Cursor | None = None


class CouponsPage(View):
    items: list[CouponView]
    next_cursor: str | None


class GoodsToDiscount(Body):
    """`price` is that of all pieces, in minor units."""

    product_id: ProductId
    price: Annotated[int, Field(ge=0, le=MAX_AMOUNT)]
    category: ProductName | None = None


class CodesToEvaluate(Body):
    """`entered` are those of the codes that the buyer enters now: unknown ones among them count as guesses. The
    customer is the user in X-User-Id; of a guest, the uses of the mailbox `email` count.
    """

    codes: Annotated[list[Code], Field(max_length=MAX_CODES)]
    entered: Annotated[list[Code], Field(max_length=MAX_CODES)] = []
    goods: Annotated[list[GoodsToDiscount], Field(max_length=500)]
    currency: Currency
    email: EmailAddress | None = None

    def basket(self) -> Basket:
        return Basket(tuple(Goods(**line.model_dump()) for line in self.goods), self.currency)


class PartView(View):
    product_id: str
    amount: int


class AcceptedView(View):
    """`parts` are what the coupon takes from each product, in minor units."""

    code: str
    version: int
    description: str
    parts: list[PartView]
    free_shipping: bool


class RejectedView(View):
    """`reason` is stable; `detail` is for the buyer."""

    code: str
    reason: str
    detail: str


class EvaluationView(View):
    """`customer` is whose uses are counted. The order's claim names it."""

    customer: str
    accepted: list[AcceptedView]
    rejected: list[RejectedView]

    @classmethod
    def of(cls, customer: str, evaluation: Evaluation) -> Self:
        accepted = [
            AcceptedView(
                code=one.coupon.code,
                version=one.coupon.version,
                description=one.coupon.description,
                parts=[PartView(product_id=product_id, amount=amount) for product_id, amount in one.parts.items()],
                free_shipping=one.is_free_shipping,
            )
            for one in evaluation.accepted
        ]
        rejected = [RejectedView(code=one.code, reason=one.reason, detail=one.detail) for one in evaluation.rejected]
        return cls(customer=customer, accepted=accepted, rejected=rejected)
