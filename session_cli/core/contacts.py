"""The people we know, and the names that we give them."""

from __future__ import annotations

from ..errors import InvalidInput
from ..protocol.account import AccountId
from ..store.records import PersonRow
from .addressing import SHOWN_DIGITS, resolve
from .model import Contact
from .names import check_nickname
from .profile import Profile


class Contacts:
    """The people of one account. They are named as in `Client.send`."""

    def __init__(self, profile: Profile) -> None:
        self._profile = profile
        self._people = profile.store.people

    def all(self) -> list[Contact]:
        """Everybody we have written to, given a name or blocked, by the name that is shown."""
        own_id = self._profile.identity.account_id
        return [
            _contact(person)
            for person in self._people.known()
            if (person.approved or person.nickname is not None or person.blocked) and person.address != own_id
        ]

    def resolve(self, who: str) -> AccountId:
        """Whose id is meant, as in `Client.resolve`; InvalidInput if it is our own."""
        address = resolve(self._profile, who)
        if address == self._profile.identity.account_id:
            raise InvalidInput("That is this account, and always called me.")
        return address

    def get(self, address: str) -> Contact:
        """A person by the whole id, known or not."""
        return _contact(self._people.get(address) or PersonRow(address, None, None, False, False))

    def find(self, who: str) -> Contact:
        """A person, known or not. Raises what `Client.resolve` raises."""
        return self.get(resolve(self._profile, who))

    def set_blocked(self, who: str, *, blocked: bool) -> Contact:
        """Drop from now on whatever a person sends, who may be a stranger and is not told; or take it again.

        What a stranger wrote before is shown no more. Raises what `Client.resolve` raises, and InvalidInput.
        """
        with self._profile.store.transaction():
            address = self.resolve(who)
            self._people.set_blocked(address, blocked=blocked)
            if blocked:
                self._profile.store.deliveries.forget_apart(address)
            person = self.get(address)
            if blocked and not person.approved:
                self._profile.store.conversations.hide(address)
        return person

    def rename(self, who: str, nickname: str | None) -> Contact:
        """Give a person, who may be a stranger, a name that goes before all that people give themselves.

        None takes it away. Raises InvalidInput if the name can't be, or is another's; and what `Client.resolve` raises.
        """
        checked = check_nickname(nickname) if nickname is not None else None
        with self._profile.store.transaction():
            address = self.resolve(who)
            self._check_free(checked, address)
            self._people.set_nickname(address, checked)
            (renamed,) = self._people.beginning(address)
        return _contact(renamed)

    def _check_free(self, nickname: str | None, address: AccountId) -> None:
        owner = self._people.by_nickname(nickname) if nickname is not None else None
        if owner not in (None, address):
            raise InvalidInput(
                f"{nickname!r} is your name for {owner[:SHOWN_DIGITS]}… already; take it away first: "
                "session contact rename --remove ID"
            )


def _contact(person: PersonRow) -> Contact:
    return Contact(
        person.address,
        person.nickname,
        person.name,
        person.approved,
        person.approved_me,
        person.blocked,
        person.picture_url is not None,
    )
