"""What a customer was told, and how they want to be told."""
