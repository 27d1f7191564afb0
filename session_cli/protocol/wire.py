"""Strict parsing of protobuf messages.

The runtime's parser is lenient in two ways that would bite later: required fields may be missing, and text that is
not UTF-8 comes out as bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import DecodeError, Message
from google.protobuf.unknown_fields import UnknownFieldSet

from ..errors import MalformedMessage

M = TypeVar("M", bound=Message)


def parse_message(kind: type[M], data: bytes, *, unless: Callable[[Message], bool] = lambda _: False) -> M:
    """Parse `data` as a message of this kind. Raises MalformedMessage, naming the kind and nothing of the data.

    One that lacks required fields is refused, `unless` it has that.
    """
    try:
        message = kind.FromString(data)
    except DecodeError:
        raise MalformedMessage(f"Not a {kind.DESCRIPTOR.name}: the bytes don't parse.") from None
    if not message.IsInitialized() and not unless(message):
        raise MalformedMessage(f"Not a {kind.DESCRIPTOR.name}: a required field is missing.")
    if not _is_text_valid(message):
        raise MalformedMessage(f"Not a {kind.DESCRIPTOR.name}: a text is not UTF-8.")
    return message


def unknown_numbers(message: Message) -> set[int]:
    """The numbers of those fields of a message that we don't know, or whose values we don't."""
    fields = UnknownFieldSet(message)
    return {fields[index].field_number for index in range(len(fields))}


def has_new_values(message: Message) -> bool:
    """Whether all that a message lacks is there, as choices that there were not in our time."""
    missing = [field for field in message.DESCRIPTOR.fields if field.is_required and not message.HasField(field.name)]
    if missing and not all(field.enum_type and field.number in unknown_numbers(message) for field in missing):
        return False
    return all(map(has_new_values, _parts(message)))


def _parts(message: Message) -> Iterator[Message]:
    """The messages inside of a message."""
    for descriptor, value in message.ListFields():
        if descriptor.type == FieldDescriptor.TYPE_MESSAGE:
            yield from [value] if isinstance(value, Message) else value


def _is_text_valid(message: Message) -> bool:
    for descriptor, value in message.ListFields():
        if descriptor.type == FieldDescriptor.TYPE_STRING and any(
            isinstance(text, bytes) for text in ([value] if isinstance(value, str | bytes) else value)
        ):
            return False
    return all(map(_is_text_valid, _parts(message)))
