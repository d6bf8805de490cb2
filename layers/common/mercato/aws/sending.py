"""What can become of a message that a shop sends, on whatever channel."""

from __future__ import annotations


class MessageRefused(Exception):
    """This message will never be sent. The text is the provider's answer without the recipient."""


class MessageNotSent(Exception):
    """The message was certainly not sent; a retry may succeed. The text names no recipient."""


class MessageUncertain(Exception):
    """No answer came: the message may have been sent."""
