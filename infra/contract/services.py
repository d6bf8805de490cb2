"""The services of the shop, and what each is for."""

from __future__ import annotations

SERVICES = {
    "users": "Accounts, log-in, sessions and the public keys of access tokens.",
    "products": "The catalogue: browsing, searching, changing, importing.",
    "carts": "Carts of customers and of guests.",
    "orders": "Placing orders and following them; each is the sum of its facts.",
    "payments": "What was authorized, captured and given back.",
    "inventory": "What is on the shelf, and corrections of it.",
    "notifications": "What a customer was told, and how they want to be told.",
    "shipping": "Quotes, parcels and what the carrier reports of them.",
    "gateway": "The shop as a whole: the dashboard, its health, this document.",
    "ops": "The operators' own: sagas, dead letters, circuits, services, the audit log.",
}
