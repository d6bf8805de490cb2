"""Placing orders and following them; each is the sum of its facts."""
