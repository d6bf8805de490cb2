"""Compares the permissions that the functions have with those that they have used."""
