"""How what we write to somebody disappears."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import InvalidInput, UsageError
from ..network.clock import Deadline
from ..protocol.account import AccountId, is_community, is_group, parse_account_id
from .history import History
from .model import Party
from .profile import Profile
from .when import parse_length

if TYPE_CHECKING:
    from .sending import Sender

AFTER_SEND = {"12h": 43_200, "1d": 86_400, "1w": 604_800, "2w": 1_209_600}
AFTER_READ = {"5m": 300, "1h": 3_600, **AFTER_SEND}
"""The times that all apps offer, in seconds."""
_CHOICES = {"after_send": AFTER_SEND, "after_read": AFTER_READ}


@dataclass(frozen=True, slots=True)
class Rule:
    """How what we write in a conversation disappears: `off`, `after_send` or `after_read`, after so many seconds."""

    conversation: Party
    mode: str
    seconds: int


class Disappearing:
    """The rules of one account's conversations. People are named as in `Client.send`.

    In a conversation of two each side has a rule of its own, for what it writes.
    """

    def __init__(self, profile: Profile, sender: Callable[[], Sender], history: History, timeout: float | None) -> None:
        self._store = profile.store
        self._own_id = profile.identity.account_id
        self._sender = sender
        self._history = history
        self._timeout = timeout

    def rule(self, to: str) -> Rule:
        """What is set for a conversation. Raises what `Client.resolve` raises."""
        place = self._history.place(to)
        return Rule(place, *self._store.conversations.expiration(place.id))

    def set(self, to: str, mode: str, seconds: int) -> Rule:
        """Let what we write to somebody disappear from now on, or (`off`, 0) stay, and tell them and our devices.

        Raises UsageError for a time that no app offers; InvalidInput where they or we have not accepted the other yet,
        or we have blocked them; NetworkError or ServiceRefused if they could not be told, and nothing has changed.
        """
        place = self._history.place(to)
        if is_group(place.id):
            raise InvalidInput("How messages of a group disappear is for its admins to say: session group expire")
        if is_community(place.id):
            raise InvalidInput("In a community no message disappears by itself; to delete one of yours: session unsend")
        self._check_time(place, mode, seconds)
        self._check_person(parse_account_id(place.id))
        if self._store.conversations.expiration(place.id) != (mode, seconds):
            from .sealing import expiration_of

            expiration = expiration_of(mode, seconds)
            self._sender().announce_expiration(parse_account_id(place.id), expiration, Deadline(self._timeout))
        # Another device of ours may have said something else meanwhile.
        return Rule(place, *self._store.conversations.expiration(place.id))

    def _check_time(self, place: Party, mode: str, seconds: int) -> None:
        if mode == "off":
            return
        if mode == "after_read" and place.id == self._own_id:
            raise UsageError("Notes to self disappear after they are sent only.")
        if seconds not in _CHOICES[mode].values():
            times = list(_CHOICES[mode])
            when = mode.replace("_", " they are ").replace("send", "sent")
            choice = f"{', '.join(times[:-1])} or {times[-1]}"
            raise UsageError(f"Messages can disappear {choice} {when}; the apps offer no other times.")

    def _check_person(self, address: AccountId) -> None:
        if address == self._own_id:
            return
        person = self._store.people.get(address)
        if person is not None and person.blocked:
            raise InvalidInput("You have blocked them: what they write and what you set does not reach the other.")
        if person is None or not (person.approved or person.approved_me):
            raise InvalidInput("You have not talked to them yet; write to them first.")
        if not person.approved:
            raise InvalidInput("They have sent you a message request; answer it first.")
        if not person.approved_me:
            raise InvalidInput("They have not accepted your message request yet; it can be set once they have.")


def parse_time(text: str) -> int:
    """The seconds that a time such as `12h` or `1d` means. Raises UsageError."""
    seconds = parse_length(text)
    if seconds is None:
        raise UsageError(f"{text!r} is no length of time; give one of {', '.join(AFTER_READ)}, or off.")
    return seconds
