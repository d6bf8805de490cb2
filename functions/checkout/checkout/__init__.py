"""The checkout service: sessions, totals, taxes and quotes."""
