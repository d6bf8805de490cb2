"""What the operator does with orders."""
