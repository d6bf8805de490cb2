"""Who may call what through the mesh. `mercato mesh compile` writes it from infra/mesh/policy.yaml."""

# By service and caller: methods, and patterns of whole paths.
CALLS: dict[str, dict[str, list[tuple[str, str]]]] = {
    "users": {
        "gateway": [("GET", "/api/users/[^/]+")],
        "orders": [("POST", "/api/users/lookup")],
        "ops": [("GET", "/health")],
        "storefront": [
            ("POST", "/api/users/login"),
            ("POST", "/api/users/logout"),
            ("POST", "/api/users/token/refresh"),
            ("POST", "/api/users"),
            ("POST", "/api/users/verify\\-email"),
            ("POST", "/api/users/password\\-reset"),
            ("POST", "/api/users/password\\-reset/confirm"),
        ],
        "console": [("POST", "/api/users/login"), ("POST", "/api/users/logout"), ("POST", "/api/users/token/refresh")],
    },
    "products": {
        "orders": [("POST", "/api/products/lookup")],
        "carts": [("POST", "/api/products/lookup")],
        "checkout": [("POST", "/api/products/lookup")],
        "notifications": [("POST", "/api/products/lookup")],
        "ops": [("GET", "/health")],
        "storefront": [("GET", "/api/products"), ("GET", "/api/products/[^/]+")],
    },
    "carts": {
        "checkout": [("GET", "/api/carts/mine"), ("GET", "/api/carts/guests/[^/]+")],
        "notifications": [("GET", "/api/carts/mine"), ("PUT", "/api/carts/guests/[^/]+/watch")],
        "ops": [("GET", "/health")],
        "storefront": [
            ("POST", "/api/carts/guests"),
            ("GET", "/api/carts/guests/[^/]+"),
            ("POST", "/api/carts/guests/[^/]+/items/[^/]+"),
            ("PUT", "/api/carts/guests/[^/]+/items/[^/]+"),
            ("DELETE", "/api/carts/guests/[^/]+/items/[^/]+"),
        ],
    },
    "orders": {
        "documents": [("GET", "/api/orders/[^/]+"), ("GET", "/api/orders/guests/[^/]+")],
        "notifications": [
            ("GET", "/api/orders"),
            ("GET", "/api/orders/guests/[^/]+"),
            ("PUT", "/api/orders/[^/]+/links/[^/]+"),
            ("POST", "/api/orders/lookup"),
        ],
        "gateway": [("GET", "/api/orders")],
        "ops": [("GET", "/health")],
        "storefront": [
            ("POST", "/api/orders/guests"),
            ("GET", "/api/orders/guests/[^/]+"),
            ("POST", "/api/orders/guests/[^/]+/cancel"),
            ("POST", "/api/orders/guests/[^/]+/payments"),
            ("POST", "/api/orders/guests/[^/]+/returns"),
            ("POST", "/api/orders/guests/[^/]+/returns/[^/]+/cancel"),
        ],
    },
    "payments": {"ops": [("GET", "/health")]},
    "documents": {
        "ops": [("GET", "/health")],
        "storefront": [("GET", "/api/documents/guests/[^/]+"), ("GET", "/api/documents/guests/[^/]+/[^/]+/pdf")],
    },
    "inventory": {"ops": [("GET", "/health")]},
    "notifications": {
        "gateway": [("GET", "/api/notifications")],
        "ops": [("GET", "/health")],
        "storefront": [
            ("POST", "/api/notifications/unsubscriptions/[^/]+"),
            ("POST", "/api/notifications/guest\\-wishes"),
            ("POST", "/api/notifications/guest\\-wishes/[^/]+"),
            ("DELETE", "/api/notifications/guest\\-wishes/[^/]+"),
            ("GET", "/api/notifications/guests/[^/]+/preferences"),
            ("PUT", "/api/notifications/guests/[^/]+/preferences"),
            ("PUT", "/api/notifications/guests/[^/]+/reminder"),
            ("DELETE", "/api/notifications/guests/[^/]+/reminder"),
            ("GET", "/api/notifications/guest\\-reminders/[^/]+"),
            ("DELETE", "/api/notifications/guest\\-reminders/[^/]+"),
        ],
    },
    "promotions": {"checkout": [("POST", "/api/promotions/evaluations")], "ops": [("GET", "/health")]},
    "checkout": {
        "orders": [("POST", "/api/checkouts/prices"), ("POST", "/api/checkouts/verifications")],
        "ops": [("GET", "/health")],
        "storefront": [
            ("POST", "/api/checkouts/guests/[^/]+"),
            ("GET", "/api/checkouts/guests/[^/]+/[^/]+"),
            ("PATCH", "/api/checkouts/guests/[^/]+/[^/]+"),
        ],
    },
    "shipping": {
        "checkout": [("POST", "/api/shipments/quotes")],
        "ops": [("GET", "/health")],
        "storefront": [("POST", "/api/shipments/quotes"), ("GET", "/api/shipments/guests/[^/]+")],
    },
}
# The identity of each calling function, by its name behind the shop's.
IDENTITIES: dict[str, str] = {
    "carts-api": "carts",
    "orders-api": "orders",
    "checkout-api": "checkout",
    "documents-api": "documents",
    "documents-consumer": "documents",
    "notifications-api": "notifications",
    "notifications-consumer": "notifications",
    "gateway-api": "gateway",
    "ops-prober": "ops",
    "storefront-pages": "storefront",
    "console-pages": "console",
}
