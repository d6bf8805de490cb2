"""The shop as a whole: the dashboard, its health, this document."""
