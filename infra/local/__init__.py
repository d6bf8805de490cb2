"""The local cloud, and the operator's commands."""
