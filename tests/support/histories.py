"""Profiles with a past, made without a network: messages go straight into the store."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from session_cli.core.profile import Profile, key_sources, open_profile
from session_cli.protocol.account import Identity
from session_cli.store.records import AttachmentRow, NewMessage
from tests.support.devnet import Person


def account_id(number: int) -> str:
    """The id of somebody made up, the same for the same number."""
    return str(Identity.from_seed(number.to_bytes(16, "big")).account_id)


def file_row(name: str | None, content_type: str, size: int = 3, *, voice: bool = False) -> AttachmentRow:
    """An attachment that no server has."""
    return AttachmentRow("http://127.0.0.1:9/file/1", b"k" * 64, b"d" * 32, size, content_type, name, voice)


def message_from(sender: str, sent_ms: int, body: str, *, request: bool = False) -> NewMessage:
    """A message that came."""
    return NewMessage(sender, "incoming", sender, sent_ms, body, "received", request=request)


def message_to(person: str, own_id: str, sent_ms: int, body: str, *, status: str = "sent") -> NewMessage:
    """A message that went."""
    return NewMessage(person, "outgoing", own_id, sent_ms, body, status)


def with_files(message: NewMessage, *files: AttachmentRow) -> NewMessage:
    """The same message with files."""
    return replace(message, attachments=files)


def answering(message: NewMessage, quoted: NewMessage) -> NewMessage:
    """The same message as an answer to another."""
    return replace(message, quote_author=quoted.sender, quote_ms=quoted.sent_ms)


def open_store(person: Person) -> Profile:
    """Open the profile of somebody whose program does not run."""
    return open_profile(key_sources(person.environment, "default", None))


def fill(person: Person, messages: Iterable[NewMessage], names: Mapping[str, str] | None = None) -> list[int]:
    """Put messages into somebody's store, each an event; returns their ids. Whoever was written to is approved.

    `names` are what people call themselves.
    """
    ids: list[int] = []
    profile = open_store(person)
    try:
        with profile.store.transaction():
            for address, name in (names or {}).items():
                profile.store.people.set_name(address, name, 1)
            for message in messages:
                if message.direction == "outgoing":
                    profile.store.people.approve(message.conversation, by_us=True)
                message_id = profile.store.messages.add(message)
                assert message_id is not None
                if message.direction == "incoming":
                    profile.store.events.add("message", message_id)
                ids.append(message_id)
    finally:
        profile.store.close()
    return ids
