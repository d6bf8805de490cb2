"""The stock of each product, and its adjustments."""
