"""Which permissions the functions were given, and which of them they have used."""
