"""`mercato trace`: shows one request as a tree, from the functions' logs."""
