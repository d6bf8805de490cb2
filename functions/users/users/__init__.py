"""Accounts, log-in, sessions and the public keys of access tokens."""
