"""Settings of one device, kept like a config but never pushed."""

from __future__ import annotations

from dataclasses import dataclass

from ...errors import InvalidInput
from . import fields
from .tree import EMPTY, Tree

_SETTINGS = b"settings"
_NUMBERS = (b"notify_content", b"notify_sound", b"theme", b"theme_primary_color")


@dataclass(frozen=True, slots=True)
class Local:
    """A view of the data of a Local config. What the numbers mean is the apps' own business."""

    data: Tree = EMPTY

    def number(self, name: str) -> int:
        """One of `notify_content`, `notify_sound`, `theme` and `theme_primary_color`; 0 if it was not set."""
        return fields.integer(self.data, _number_key(name))

    def with_number(self, name: str, value: int) -> Local:
        """With one of the numbers. Raises InvalidInput for a name that is none of them."""
        return Local(self.data.with_value([_number_key(name)], value))

    def setting(self, name: str) -> bool | None:
        """A switch, or None if it was not set."""
        value = self.data.branch(_SETTINGS).get(name.encode())
        return value != 0 if isinstance(value, int) else None

    def with_setting(self, name: str, value: bool | None) -> Local:
        """With a switch on, off or not set."""
        return Local(self.data.with_value([_SETTINGS, name.encode()], None if value is None else int(value)))


def _number_key(name: str) -> bytes:
    if name.encode() not in _NUMBERS:
        raise InvalidInput(f"There is no such setting: {name}.")
    return name.encode()
