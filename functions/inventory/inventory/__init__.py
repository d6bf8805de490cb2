"""What is on the shelf, and corrections of it."""
