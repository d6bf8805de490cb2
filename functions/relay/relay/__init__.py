"""Publishes the outbox records of the tables' streams to the event bus."""
