"""The catalogue: browsing, searching, changing, importing."""
