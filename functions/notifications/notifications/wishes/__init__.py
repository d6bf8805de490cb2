"""Wishes: customers who want to know when a product that is sold out is available again."""
