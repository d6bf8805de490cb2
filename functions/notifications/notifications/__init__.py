"""The notifications that a customer got, and the preferred channels."""
