"""What can become of a message that a shop sends, on whatever channel."""

from __future__ import annotations

# Seconds within which AWS has taken a message or not, and its sender has stored which: a client waits 2 for a
# connection and 5 for an answer. An invocation that ends before would leave open whether the message was sent.
LONGEST = 8.0


class MessageRefused(Exception):
    """This message will never be sent. The text is the provider's answer without the recipient."""


class MessageNotSent(Exception):
    """The message was certainly not sent; a retry may succeed. The text names no recipient."""


class MessageUncertain(Exception):
    """No answer came: the message may have been sent."""
