"""Places orders and follows them. Event-sourced: an order is the fold of its facts."""
