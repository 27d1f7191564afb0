"""Knowing again, by their accounts, those whom we met under blinded ids."""

from __future__ import annotations

from dataclasses import replace

from ...protocol.account import AccountId, IdPrefix
from ...protocol.blinding import BlindedId, matches, parse_blinded_id
from ...store.store import Store


def recognise(store: Store, account: AccountId) -> None:
    """Where somebody who writes to us is one whom we wrote to under a blinded id, let the two be one.

    To be called in a transaction.
    """
    for blinded, server in store.communities.strangers():
        if matches(account, parse_blinded_id(blinded), server.server_key):
            store.communities.note_account(blinded, account, server.base_url)
            merge(store, blinded, account)


def account_behind(store: Store, blinded: BlindedId, server_key: bytes) -> AccountId | None:
    """Whom of those we have written to a blinded id of a server belongs to; None: none of them, or nobody knows."""
    known = store.communities.account_of(blinded)
    if known is not None:
        return AccountId(known)
    for person in store.people.known():
        if person.approved and person.address.startswith(IdPrefix.USER):
            account = AccountId(person.address)
            if matches(account, blinded, server_key):
                return account
    return None


def merge(store: Store, blinded: str, account: AccountId) -> None:
    """Let what was said to somebody under a blinded id be said to the account that it belongs to."""
    person = store.people.get(blinded)
    if person is None:
        return
    store.messages.move_conversation(blinded, account)
    if person.blocked:
        store.people.set_blocked(account, blocked=True)
    if person.nickname is not None:
        known = store.people.get(account)
        store.people.set_nickname(blinded, None)
        if known is None or known.nickname is None:
            store.people.set_nickname(account, person.nickname)
    if person.approved:
        # From now on the name means the account alone.
        store.people.put(replace(person, approved=False, nickname=None))
        store.people.approve(account, by_us=True)
