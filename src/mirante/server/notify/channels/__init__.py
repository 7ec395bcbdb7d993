"""Ways to tell people: a small module for each kind of receiver."""

from mirante.server.notify.channels.senders import SENDERS, Send
from mirante.server.notify.channels.message import Message, Renderer

__all__ = ["SENDERS", "Message", "Renderer", "Send"]
