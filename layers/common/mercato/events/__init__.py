"""Events: the model and its envelope, the outbox, the inbox, the consumer of a queue, dead letters."""

from mercato.events.model import MAX_BYTES, Event, EventModel, Reads, envelope, schema_id

__all__ = ["MAX_BYTES", "Event", "EventModel", "Reads", "envelope", "schema_id"]
