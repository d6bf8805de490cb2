"""The shared layer: what every Mercato service needs to speak HTTP, events and DynamoDB the same way."""
