"""`mercato trace`: the tree of one request, from the functions' logs."""
