"""The mesh as it was used: which service called which, and how that went."""
