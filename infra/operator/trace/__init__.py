"""`mercato trace`: the whole story of one request, put together from the functions' logs."""
