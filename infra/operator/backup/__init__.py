"""`mercato backup` and `mercato restore`: all tables of a shop in a directory, and back into an unused shop."""
