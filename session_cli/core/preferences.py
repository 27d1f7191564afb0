"""What a person wants to tell others, and to be told by them. By default, nothing."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Preferences:
    """`read_receipts`: say which messages were read, and take note of what others say. `typing`: show who is typing.
    `saved_notices`: tell people that a file of theirs was saved. None of them ever leaves this machine."""

    read_receipts: bool = False
    typing: bool = False
    saved_notices: bool = False
