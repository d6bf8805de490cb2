"""Quotes, parcels and what the carrier reports of them."""
