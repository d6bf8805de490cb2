"""For operators: sagas, dead letters, circuits, services, the audit log."""
