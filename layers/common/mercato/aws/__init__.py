"""AWS: one botocore session and its clients, Secrets Manager, e-mail by SES."""

from mercato.aws.clients import Session, client, reset, session

__all__ = ["Session", "client", "reset", "session"]
