"""Issues the certificates by which the mesh's callers are known."""
