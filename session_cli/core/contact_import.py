"""Taking over the people of a file: all of them, or nothing where anything is wrong."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ..protocol.account import AccountId
from ..store.records import PersonRow
from ..store.store import Store
from .address_book import Entry, Problems
from .contacts import Contacts

_STRANGER = PersonRow("", None, None, False, False)


@dataclass(frozen=True, slots=True)
class Imported:
    """How many people are new, were changed, and were as the file says already.

    `kept` of them keep a nickname or a block that the file has otherwise. `skipped`: what is ourselves, and vCards
    without an account id.
    """

    added: int
    changed: int
    unchanged: int
    kept: int
    skipped: int


class ContactImport:
    """Brings the people of a file into the contacts of one account."""

    def __init__(self, store: Store, own_id: AccountId, contacts: Contacts, *, overwrite: bool) -> None:
        self._store = store
        self._people = store.people
        self._own_id = own_id
        self._contacts = contacts
        self._overwrite = overwrite

    def take(self, entries: Iterable[Entry], without_id: int) -> Imported:
        """Take over what the file says, offline. Raises InvalidInput if a nickname is somebody else's.

        What it says of nobody is left alone: approval and blocks are added, a nickname that we gave stays. With
        `overwrite`, the file's nickname goes before ours, and whom it calls not blocked is no more.
        """
        all_entries = list(entries)
        others = [entry for entry in all_entries if entry.account_id != self._own_id]
        with self._store.transaction():
            before = {entry.account_id: self._people.get(entry.account_id) or _STRANGER for entry in others}
            nicknames = {
                entry.account_id: entry.nickname
                for entry in others
                if entry.nickname is not None
                and before[entry.account_id].nickname != entry.nickname
                and (self._overwrite or before[entry.account_id].nickname is None)
            }
            self._check_free(others, nicknames)
            # Two people may have each other's.
            for account_id in nicknames:
                if before[account_id].nickname is not None:
                    self._people.set_nickname(account_id, None)
            for account_id, nickname in nicknames.items():
                self._people.set_nickname(account_id, nickname)
            for entry in others:
                self._take_rest(entry, before[entry.account_id])
            after = {account_id: self._people.get(account_id) or _STRANGER for account_id in before}
        added = sum(not before[each].is_contact and after[each].is_contact for each in before)
        changed = sum(before[each].is_contact and before[each] != after[each] for each in before)
        return Imported(
            added,
            changed,
            len(before) - added - changed,
            sum(_is_kept(entry, after[entry.account_id]) for entry in others),
            len(all_entries) - len(others) + without_id,
        )

    def _check_free(self, entries: Iterable[Entry], nicknames: dict[AccountId, str]) -> None:
        problems = Problems()
        for entry in entries:
            nickname = nicknames.get(entry.account_id)
            owner = self._people.by_nickname(nickname) if nickname is not None else None
            if owner is not None and owner not in nicknames:
                problems.add(entry.line, f"{nickname!r} is your name for {owner[:10]}… already")
        problems.check()

    def _take_rest(self, entry: Entry, before: PersonRow) -> None:
        account_id = entry.account_id
        if entry.name is not None and before.name is None:
            # Until they say themselves how they are called.
            self._people.set_name(account_id, entry.name, 0)
        if entry.blocked and not before.blocked:
            self._contacts.block(account_id, blocked=True)
        elif entry.blocked is False and before.blocked and self._overwrite:
            self._contacts.block(account_id, blocked=False)
        if entry.approved:
            self._contacts.approve(account_id)


def _is_kept(entry: Entry, after: PersonRow) -> bool:
    return (entry.nickname is not None and entry.nickname != after.nickname) or (
        entry.blocked is False and after.blocked
    )
