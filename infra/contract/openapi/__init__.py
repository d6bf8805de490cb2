"""Generates the contract with the shop's clients, one OpenAPI 3.1 document, from the routes and their models."""
