"""What a group is called, how it looks, and what its members are to delete. Only admins can change it."""

from __future__ import annotations

from dataclasses import dataclass

from ...errors import InvalidInput
from ..content import MAX_NAME_BYTES
from . import fields
from .fields import Picture
from .tree import EMPTY, Tree

MAX_DESCRIPTION_BYTES = 600
_NAME, _DESCRIPTION = b"n", b"o"
_PICTURE = fields.Pictured()
_TIMER = fields.Positive(b"E")
_CREATED, _DELETED, _ATTACHMENTS_DELETED = fields.Seconds(b"c"), fields.Seconds(b"d"), fields.Seconds(b"D")
_DESTROYED = fields.Flag(b"!")


@dataclass(frozen=True, slots=True)
class GroupInfo:
    """A view of the data of a group's Info config. Times are in seconds, 0 if there is none."""

    data: Tree = EMPTY

    @property
    def name(self) -> str:
        """The group's name, which may be empty."""
        return fields.text(self.data, _NAME, MAX_NAME_BYTES)

    def with_name(self, name: str) -> GroupInfo:
        """With another name. Raises InvalidInput for one of more than 100 bytes of UTF-8."""
        return self._with_text(_NAME, name, self.name, "name", MAX_NAME_BYTES)

    @property
    def description(self) -> str:
        """What the group is about, which may be empty."""
        return fields.text(self.data, _DESCRIPTION, MAX_DESCRIPTION_BYTES)

    def with_description(self, description: str) -> GroupInfo:
        """With another description; an empty one removes it. Raises InvalidInput for more than 600 bytes of UTF-8."""
        return self._with_text(_DESCRIPTION, description, self.description, "description", MAX_DESCRIPTION_BYTES)

    @property
    def picture(self) -> Picture | None:
        """The group's picture."""
        return _PICTURE.read(self.data)

    def with_picture(self, picture: Picture | None) -> GroupInfo:
        """With another picture, or none. Raises InvalidInput for one that can't be."""
        return GroupInfo(_PICTURE.write(self.data, picture))

    @property
    def timer(self) -> int:
        """After how many seconds from sending messages disappear; 0 for never."""
        return _TIMER.read(self.data)

    def with_timer(self, seconds: int) -> GroupInfo:
        """With messages that disappear so many seconds after sending; 0 for never."""
        return GroupInfo(_TIMER.write(self.data, seconds))

    @property
    def created(self) -> int:
        """When the group was made."""
        return _CREATED.read(self.data)

    def with_created(self, time: int) -> GroupInfo:
        """With the time at which the group was made."""
        return GroupInfo(_CREATED.write(self.data, time))

    @property
    def delete_before(self) -> int:
        """All messages sent before this time have to be deleted."""
        return _DELETED.read(self.data)

    def with_delete_before(self, time: int) -> GroupInfo:
        """With all messages deleted that were sent before a time."""
        return GroupInfo(_DELETED.write(self.data, time))

    @property
    def delete_attachments_before(self) -> int:
        """The attachments of all messages sent before this time have to be deleted."""
        return _ATTACHMENTS_DELETED.read(self.data)

    def with_delete_attachments_before(self, time: int) -> GroupInfo:
        """With the attachments deleted of all messages sent before a time."""
        return GroupInfo(_ATTACHMENTS_DELETED.write(self.data, time))

    @property
    def is_destroyed(self) -> bool:
        """Whether an admin has ended the group for everyone."""
        return _DESTROYED.read(self.data)

    def destroyed(self) -> GroupInfo:
        """With the group ended for everyone."""
        return GroupInfo(_DESTROYED.write(self.data, value=True))

    def _with_text(self, key: bytes, text: str, present: str, what: str, limit: int) -> GroupInfo:
        encoded = text.encode(errors="replace")
        if len(encoded) > limit:
            raise InvalidInput(f"A group's {what} has at most {limit} bytes of UTF-8, this has {len(encoded)}.")
        return self if text == present else GroupInfo(self.data.with_value([key], encoded or None))
