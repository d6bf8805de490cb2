"""Quotes, parcels, and the carrier's reports about them."""
