"""The operators' own: sagas, dead letters, circuits, services, the audit log."""
