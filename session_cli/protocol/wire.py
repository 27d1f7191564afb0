"""Strict parsing of protobuf messages.

The runtime's parser is lenient in two ways that would bite later: required fields may be missing, and text that is
not UTF-8 comes out as bytes.
"""

from __future__ import annotations

from typing import TypeVar

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import DecodeError, Message

from ..errors import MalformedMessage

M = TypeVar("M", bound=Message)


def parse_message(kind: type[M], data: bytes) -> M:
    """Parse `data` as a message of this kind. Raises MalformedMessage, naming the kind and nothing of the data."""
    try:
        message = kind.FromString(data)
    except DecodeError:
        raise MalformedMessage(f"Not a {kind.DESCRIPTOR.name}: the bytes don't parse.") from None
    if not message.IsInitialized():
        raise MalformedMessage(f"Not a {kind.DESCRIPTOR.name}: a required field is missing.")
    if not _is_text_valid(message):
        raise MalformedMessage(f"Not a {kind.DESCRIPTOR.name}: a text is not UTF-8.")
    return message


def _is_text_valid(message: Message) -> bool:
    for descriptor, value in message.ListFields():
        if descriptor.type == FieldDescriptor.TYPE_STRING:
            if any(isinstance(text, bytes) for text in ([value] if isinstance(value, str | bytes) else value)):
                return False
        elif descriptor.type == FieldDescriptor.TYPE_MESSAGE:
            parts = [value] if isinstance(value, Message) else value
            if not all(_is_text_valid(part) for part in parts):
                return False
    return True
