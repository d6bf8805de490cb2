"""The operator's service."""
