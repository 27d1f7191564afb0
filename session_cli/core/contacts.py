"""The people we know, and the names that we give them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import InvalidInput
from ..protocol.account import AccountId, is_community, is_group
from ..store.configs import ConversationSettings
from ..store.records import PersonRow
from .addressing import SHOWN_DIGITS, resolve
from .conversation_state import state_of
from .model import Contact, ConversationState
from .names import check_nickname
from .profile import Profile

if TYPE_CHECKING:
    from .address_book import AddressBook
    from .contact_import import Imported


@dataclass(frozen=True, slots=True)
class Deleted:
    """A contact as it was before it was deleted, and how many messages went with it."""

    contact: Contact
    messages: int


class Contacts:
    """The people of one account. They are named as in `Client.send`."""

    def __init__(self, profile: Profile) -> None:
        self._profile = profile
        self._people = profile.store.people

    def all(self) -> list[Contact]:
        """Everybody we have approved by writing to them or otherwise, given a name or blocked, by the name shown."""
        own_id = self._profile.identity.account_id
        states, now_ms = self._profile.store.configs.conversations(), self._profile.store.now_ms()
        return [
            _contact(person, state_of(states.get(person.address, ConversationSettings(person.address)), now_ms))
            for person in self._people.known()
            if (person.approved or person.nickname is not None or person.blocked)
            and person.address != own_id
            and not (is_group(person.address) or is_community(person.address))
        ]

    def resolve(self, who: str) -> AccountId:
        """Whose id is meant, as in `Client.resolve`; InvalidInput if it is our own."""
        address = resolve(self._profile, who)
        if address == self._profile.identity.account_id:
            raise InvalidInput("That is this account, me; see session profile show.")
        if is_group(address):
            raise InvalidInput(f"{address[:10]}… is a group, and no person; see session group show {address[:10]}")
        if is_community(address):
            raise InvalidInput(
                f"{address} is a room of a community, and no person; see session community show {address}"
            )
        return address

    def get(self, address: str) -> Contact:
        """A person by the whole id, known or not."""
        store = self._profile.store
        state = state_of(store.configs.conversation(address), store.now_ms())
        return _contact(self._people.get(address) or PersonRow(address, None, None, False, False), state)

    def find(self, who: str) -> Contact:
        """A person, known or not. Raises what `Client.resolve` raises."""
        address = resolve(self._profile, who)
        return self.get(address if address == self._profile.identity.account_id else self.resolve(address))

    def set_blocked(self, who: str, *, blocked: bool) -> Contact:
        """Drop from now on whatever a person sends, who may be a stranger and is not told; or take it again.

        What a stranger wrote before is shown no more, or is a request again. What has still to be told to them, but for
        messages that wait in the outbox, is not told any more. Raises what `Client.resolve` raises, and InvalidInput.
        """
        with self._profile.store.transaction():
            address = self.resolve(who)
            self.block(address, blocked=blocked)
            return self.get(address)

    def block(self, address: AccountId, *, blocked: bool) -> None:
        """As `set_blocked`, inside of a transaction."""
        store = self._profile.store
        self._people.set_blocked(address, blocked=blocked)
        if not blocked:
            if not self.get(address).approved:
                store.conversations.show(address)
            return
        store.chores.add_hashes(store.deliveries.cancel(address))
        if not self.get(address).approved:
            store.conversations.hide(address)

    def rename(self, who: str, nickname: str | None) -> Contact:
        """Give a person, who may be a stranger, a name that goes before all that people give themselves.

        None takes it away. Raises InvalidInput if the name can't be, or is another's; and what `Client.resolve` raises.
        """
        checked = check_nickname(nickname) if nickname is not None else None
        with self._profile.store.transaction():
            address = self.resolve(who)
            self._check_free(checked, address)
            self._people.set_nickname(address, checked)
            return self.get(address)

    def add(self, who: str, nickname: str | None = None) -> Contact:
        """Approve a person, perhaps a stranger, without writing, and perhaps give a name. Offline.

        What they write is no request then. Who has written already is told with the next message or poll. Raises
        InvalidInput if the name can't be, is another's, or the person is blocked; and what `Client.resolve` raises.
        """
        checked = check_nickname(nickname) if nickname is not None else None
        with self._profile.store.transaction():
            address = self.resolve(who)
            self._check_free(checked, address)
            self.check_heard(address)
            self.approve(address)
            if checked is not None:
                self._people.set_nickname(address, checked)
            return self.get(address)

    def check_heard(self, address: str) -> None:
        """Raise InvalidInput for somebody who is blocked."""
        person = self._people.get(address)
        if person is not None and person.blocked:
            raise InvalidInput(f"{address[:10]}… is blocked; first: session contact unblock {address[:10]}")

    def approve(self, address: AccountId) -> None:
        """Note that we want to hear from a person, and put down that, if they have asked, they be told.

        To be called inside a transaction.
        """
        store, person = self._profile.store, self._people.get(address)
        if person is not None and person.approved:
            return
        if person is not None and person.approved_me and not person.blocked:
            from ..protocol.payload import RequestAccepted
            from .sealing import Sealer

            accepted = Sealer(self._profile).seal(RequestAccepted(), address, store.next_sent_ms(store.now_ms()))
            store.deliveries.add(None, accepted)
        self._people.approve(address, by_us=True)
        store.messages.settle_request(address)
        store.conversations.show(address)

    def import_book(self, book: AddressBook, *, overwrite: bool = False) -> Imported:
        """Take over the people of a file (see `address_book.parse`), all or none; see `ContactImport.take`. Offline."""
        from .contact_import import ContactImport

        own_id = self._profile.identity.account_id
        taking = ContactImport(self._profile.store, own_id, self, overwrite=overwrite)
        return taking.take(book.entries, book.without_id)

    def delete(self, who: str) -> Deleted:
        """Forget a person, names and messages, on all our devices. Nobody is told. Offline.

        Raises InvalidInput if nothing is known of them, and what `Client.resolve` raises.
        """
        from .config_views import ConfigViews

        store = self._profile.store
        with store.transaction():
            address = self.resolve(who)
            contact, person = self.get(address), self._people.get(address)
            count = ConfigViews(store, self._profile.identity.account_id).delete_contact(address, store.now_ms())
            if not count and not (person and person.is_contact):
                raise InvalidInput(f"Nothing is known of {address[:10]}… that could be deleted.")
            store.configs.note_deleted(address)
        return Deleted(contact, count)

    def _check_free(self, nickname: str | None, address: AccountId) -> None:
        owner = self._people.by_nickname(nickname) if nickname is not None else None
        if owner not in (None, address):
            raise InvalidInput(
                f"{nickname!r} is your name for {owner[:SHOWN_DIGITS]}… already; take it away first: "
                "session contact rename --remove ID"
            )


def _contact(person: PersonRow, state: ConversationState) -> Contact:
    return Contact(
        person.address,
        person.nickname,
        person.name,
        person.approved,
        person.approved_me,
        person.blocked,
        person.picture_url is not None,
        state.pinned,
        state.muted,
        state.muted_until_ms,
        state.hidden,
    )
