"""`mercato inventory`: what the operator asks of the stock."""
