"""Calls from one service to another: discovery, signed requests, retries, trace spans."""
