"""Message requests: what people wrote to whom we never did."""

from __future__ import annotations

from collections.abc import Callable

from ..errors import InvalidInput
from ..network.clock import Deadline
from ..protocol.account import AccountId
from ..store.records import PersonRow
from .contacts import Contacts
from .model import Contact, Message, MessageRequest
from .profile import Profile
from .sending import Sender


class MessageRequests:
    """The requests to one account. Who made them is named as in `Client.send`: by the beginning of the id."""

    def __init__(
        self,
        profile: Profile,
        sender: Callable[[], Sender],
        contacts: Contacts,
        message_of: Callable[[int], Message],
        timeout: float | None,
    ) -> None:
        self._store = profile.store
        self._sender = sender
        self._contacts = contacts
        self._message_of = message_of
        self._timeout = timeout

    def all(self) -> list[MessageRequest]:
        """Those that wait for an answer, the oldest first."""
        return [
            MessageRequest(self._message_of(first_id).sender, count, self._message_of(first_id), last_ms)
            for count, last_ms, first_id in self._store.conversations.requests()
        ]

    def accept(self, who: str) -> Contact:
        """Tell somebody that we want to talk. Raises InvalidInput, NetworkError, ServiceRefused; then all is as before.

        It works for a request that was declined, too.
        """
        person = self._requester(who)
        self._sender().accept_request(AccountId(person.address), Deadline(self._timeout))
        return self._contacts.get(person.address)

    def approve(self, who: str) -> Contact:
        """Want to hear from a person: as `accept` if they have asked; if not, what they write will be no request.

        Only the first needs the network. Raises InvalidInput for somebody who is blocked, and what `accept` raises.
        """
        address = self._contacts.resolve(who)
        person = self._store.people.get(address)
        self._contacts.check_heard(address)
        if person is not None and person.approved_me and not person.approved:
            return self.accept(address)
        with self._store.transaction():
            self._contacts.approve(address)
        return self._contacts.get(address)

    def decline(self, who: str) -> Contact:
        """Show a request no more, until that person writes again. Nobody is told. Raises InvalidInput.

        That it was accepted, if the process that was to tell so has died, nobody is told either.
        """
        person = self._requester(who)
        with self._store.transaction():
            self._store.chores.add_hashes(self._store.deliveries.cancel(person.address))
            self._store.conversations.hide(person.address)
        return self._contacts.get(person.address)

    def block(self, who: str) -> Contact:
        """Show a request no more, and drop whatever that person sends. Nobody is told. Raises InvalidInput."""
        return self._contacts.set_blocked(self._requester(who).address, blocked=True)

    def _requester(self, who: str) -> PersonRow:
        address = self._contacts.resolve(who)
        person = self._store.people.get(address)
        if person is None or not person.approved_me or person.approved:
            state = "has not written to you" if person is None or not person.approved_me else "is no stranger any more"
            raise InvalidInput(f"There is no message request from {address[:10]}…, who {state}.")
        self._contacts.check_heard(address)
        return person
