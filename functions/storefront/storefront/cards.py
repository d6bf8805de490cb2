"""How one pays: with a card of the sandbox, or in Stripe's own field."""

from __future__ import annotations

from typing import Any

from storefront.wiring import Settings

_CARDS = (
    ("tok_ok", "A good card"),
    ("tok_declined", "A card that the bank declines"),
    ("tok_insufficient_funds", "A card without money"),
    ("tok_timeout_once", "A card whose bank is slow"),
    ("tok_confirm_ok", "A card whose bank asks you to confirm"),
)
# What docs.stripe.com/security/guide asks for, of the pages alone on which one pays.
STRIPE_POLICY = (
    ("script-src", "https://js.stripe.com https://*.js.stripe.com"),
    ("frame-src", "https://js.stripe.com https://*.js.stripe.com https://hooks.stripe.com"),
    ("connect-src", "https://api.stripe.com"),
)


def cards_of(settings: Settings) -> dict[str, Any]:
    """How one pays: Stripe's field for a card, or the sandbox's cards."""
    is_stripe = settings.payment_provider == "stripe"
    return {
        "cards": [] if is_stripe else list(_CARDS),
        "stripe_key": settings.stripe_publishable_key if is_stripe else "",
    }
