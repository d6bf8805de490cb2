"""`mercato saga`: what the operator sees and does of an order's saga."""
