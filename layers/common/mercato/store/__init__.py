"""DynamoDB: a table, items, cursors, the event store and its snapshots."""
