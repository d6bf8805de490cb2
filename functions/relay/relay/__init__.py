"""The relay: from the tables' streams to the event bus."""
