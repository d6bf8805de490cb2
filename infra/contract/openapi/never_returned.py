"""Lists the errors that a route's code can name but that the route never returns, with reasons.

The contract omits them. The errors of a route are read from its source, and this analysis finds too many rather than
too few. The requests in tests/integration/refusals show that routes return all other errors.
"""

from __future__ import annotations

_OF_REFUNDS = (
    "not-refundable",
    "payment-disputed",
    "refund-refused",
    "refund-too-large",
    "refund-written-off",
    "too-many-refunds",
    "wrong-currency",
)
_REFUNDS = (*_OF_REFUNDS, "unknown-payment")
_OF_PRICING = (
    "amount-too-large",
    "mixed-currencies",
    "no-rate-for-destination",
    "no-tax-rate",
    "nothing-to-pay",
    "parcel-too-heavy",
    "product-not-for-sale",
    "service-not-offered",
    "short-of-stock",
)
_NO_TOKEN = "the route shares code with a route that takes such a token, and takes none itself"
_CAUGHT = "the use case converts it to another response"
_BODY = "the body's model has the same rule and refuses the request earlier"
_GUESTS = "a guest's cart belongs to no account"
_NO_ACCOUNT = "a guest has no account"
_NO_LINK = "the route calls a method of the same name as one that reads a link, and reads none"
_OTHER_GET = "the route calls a method of the same name as one that raises it, and calls another"
_SHARED = "the route shares code with a change that can raise it, and cannot raise it itself"

NEVER: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    (_OTHER_GET, "GET /api/.well-known/jwks.json", ("user-not-found",)),
    (_CAUGHT, "GET /api/users", ("user-not-found",)),
    (_CAUGHT, "GET /api/payments", ("unknown-payment",)),
    (_OTHER_GET, "GET /api/products", ("product-not-found",)),
    (_OTHER_GET, "GET /api/products/lookup", ("product-not-found",)),
    (_OTHER_GET, "GET /api/products/imports", ("product-not-found",)),
    (_OTHER_GET, "GET /api/products/imports/{import_id}", ("product-not-found",)),
    (_OTHER_GET, "GET /api/products/imports/{import_id}/rows", ("product-not-found",)),
    ("the route asks for the first page only", "GET /api/products/{product_id}", ("invalid-cursor",)),
    (_OTHER_GET, "GET /api/checkouts/taxes", _OF_PRICING),
    (_CAUGHT, "POST /api/users", ("user-not-found",)),
    (_BODY, "POST /api/users", ("invalid-name",)),
    (_BODY, "PATCH /api/users/me", ("invalid-name",)),
    (_CAUGHT, "POST /api/users/login", ("user-not-found", "invalid-email")),
    (_NO_TOKEN, "POST /api/users/login", ("invalid-token", "invalid-refresh-token", "refresh-token-reused")),
    (_NO_TOKEN, "PATCH /api/users/me", ("invalid-token",)),
    (_CAUGHT, "POST /api/users/logout", ("invalid-refresh-token",)),
    (_CAUGHT, "POST /api/users/token/refresh", ("user-not-found",)),
    ("closing the account invalidates its tokens", "POST /api/users/verify-email", ("user-not-found",)),
    ("closing the account invalidates its tokens", "POST /api/users/password-reset/confirm", ("user-not-found",)),
    (_CAUGHT, "POST /api/users/password-reset", ("user-not-found", "invalid-email")),
    (_NO_TOKEN, "PUT /api/users/me/password", ("invalid-token", "invalid-refresh-token")),
    (_NO_TOKEN, "PUT /api/users/me/closure", ("invalid-token", "invalid-refresh-token")),
    (_NO_TOKEN, "DELETE /api/users/me/sessions", ("invalid-token",)),
    (_SHARED, "POST /api/products", ("product-not-found", "stale-version")),
    (_SHARED, "PATCH /api/products/{product_id}", ("sku-taken",)),
    (_SHARED, "DELETE /api/products/{product_id}", ("sku-taken",)),
    (
        "it refuses one row, and the import continues",
        "POST /api/products/imports",
        ("invalid-price", "product-discontinued", "product-not-found"),
    ),
    ("the layer refuses bytes that are not text earlier", "POST /api/products/imports", ("unreadable-csv",)),
    ("the request has one product only", "POST /api/inventory/{product_id}/adjustments", ("duplicate-product",)),
    (_GUESTS, "PUT /api/carts/guests/{cart_id}/items/{product_id}", ("account-closed",)),
    (_GUESTS, "POST /api/carts/guests/{cart_id}/items/{product_id}", ("account-closed",)),
    (_GUESTS, "DELETE /api/carts/guests/{cart_id}/items/{product_id}", ("account-closed",)),
    (_SHARED, "POST /api/orders/{order_id}/cancel", ("order-too-large",)),
    (_SHARED, "POST /api/orders/{order_id}/payments", ("order-too-large",)),
    ("a quote's total is bounded by the checkout", "POST /api/orders/quoted", ("order-too-large",)),
    (_SHARED, "POST /api/checkouts", ("invalid-quote", "tax-table-changed")),
    (_SHARED, "POST /api/checkouts/guests/{cart_id}", ("invalid-quote", "tax-table-changed")),
    (_SHARED, "PATCH /api/checkouts/guests/{cart_id}/{checkout_id}", ("invalid-quote",)),
    ("a quote's total is bounded by the checkout", "POST /api/orders/guests", ("order-too-large",)),
    (_NO_ACCOUNT, "POST /api/orders/guests", ("account-closed",)),
    (_SHARED, "POST /api/orders/guests/{token}/cancel", ("order-too-large",)),
    (_CAUGHT, "POST /api/orders/guests/{token}/cancel", ("order-not-found",)),
    (_SHARED, "POST /api/orders/guests/{token}/payments", ("order-too-large",)),
    (_CAUGHT, "POST /api/orders/guests/{token}/payments", ("order-not-found",)),
    ("a return is never larger than its order", "POST /api/orders/guests/{token}/returns", ("order-too-large",)),
    (_CAUGHT, "POST /api/orders/guests/{token}/returns", ("order-not-found",)),
    (_CAUGHT, "POST /api/notifications/unsubscriptions/{token}", ("reader-gone",)),
    (_CAUGHT, "POST /api/notifications/guest-wishes/{token}", ("reader-gone",)),
    (_NO_LINK, "PUT /api/notifications/guests/{cart_id}/reminder", ("unknown-link",)),
    (_SHARED, "POST /api/orders/guests/{token}/returns/{return_id}/cancel", ("order-too-large",)),
    (_CAUGHT, "POST /api/orders/guests/{token}/returns/{return_id}/cancel", ("order-not-found",)),
    (_SHARED, "PATCH /api/checkouts/{checkout_id}", ("invalid-quote",)),
    ("it reads the coupon again", "DELETE /api/promotions/coupons/{code}", ("coupon-changed",)),
    ("a return is never larger than its order", "POST /api/orders/{order_id}/returns", ("order-too-large",)),
    (_SHARED, "POST /api/orders/{order_id}/returns/{return_id}/approve", ("order-too-large",)),
    (_SHARED, "POST /api/orders/{order_id}/returns/{return_id}/cancel", ("order-too-large",)),
    (_SHARED, "POST /api/orders/{order_id}/returns/{return_id}/receive", ("order-too-large",)),
    (_SHARED, "POST /api/orders/{order_id}/returns/{return_id}/refuse", ("order-too-large",)),
    ("only the saga's compensation raises it", "POST /api/payments/{payment_id}/refunds", ("refund-written-off",)),
    ("the bank's answer refunds nothing", "POST /api/payments/sandbox/challenges/{charge_id}", _OF_REFUNDS),
    ("the bank's answer refunds nothing", "POST /api/payments/guests/sandbox/challenges/{charge_id}", _OF_REFUNDS),
    ("webhooks are accepted even if they concern no payment", "POST /api/payments/webhooks/sandbox", _REFUNDS),
    ("webhooks are accepted even if they concern no payment", "POST /api/payments/webhooks/stripe", _REFUNDS),
    (_CAUGHT, "POST /api/shipments/webhooks/easypost", ("shipment-not-found",)),
    ("a parcel that EasyPost knows is booked", "POST /api/shipments/webhooks/easypost", ("not-with-carrier",)),
    (
        "the route searches only parked sagas, and a missing one is saga-not-parked",
        "POST /api/ops/sagas/{order_id}/resume",
        ("saga-not-found",),
    ),
)
