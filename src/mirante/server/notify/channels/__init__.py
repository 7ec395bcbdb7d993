"""Ways to tell people: a small module for each kind of receiver."""

from mirante.server.notify.channels.message import Message, Renderer
from mirante.server.notify.channels.senders import SENDERS, Send

__all__ = ["SENDERS", "Message", "Renderer", "Send"]
