"""Logs, metrics, and the correlation and trace context that every request, event and task carries."""
