"""What the configs say, in the terms of the store; and back.

The configs hold what all devices of an account share. Each has its own store; here one is brought in step with the
other, field by field, and whatever the configs hold beside that is left as it is.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from ..protocol.account import AccountId
from ..protocol.config.contacts import Contact, Contacts
from ..protocol.config.convo_info_volatile import ConversationKind, ConvoInfoVolatile, ReadState
from ..protocol.config.fields import NotifyMode, Picture
from ..protocol.config.tree import Tree
from ..protocol.config.user_profile import UserProfile
from ..store.configs import ConversationSettings
from ..store.records import PersonRow
from ..store.store import Store
from .sealing import expiration_of


class ConfigViews:
    """Moves things between the store of one account and the data of its configs. To be called in a transaction."""

    def __init__(self, store: Store, own_id: AccountId) -> None:
        self._store = store
        self._own_id = own_id

    # From the store to the configs.

    def with_contacts(self, data: Tree, addresses: Iterable[str], now_s: int) -> Tree:
        """The contacts with what the store says of some of them."""
        contacts = Contacts(data)
        for address in addresses:
            if address == self._own_id or not address.startswith("05"):
                continue
            account_id = AccountId(address)
            known, person = contacts.get(account_id), self._store.people.get(address)
            if person is None or not (known or person.is_contact):
                continue
            contacts = contacts.with_contact(self._contact(known or Contact(account_id, created=now_s), person))
        return contacts.data

    def _contact(self, known: Contact, person: PersonRow) -> Contact:
        settings = self._store.configs.conversation(person.address)
        picture = Picture(person.picture_url, person.picture_key) if person.picture_url and person.picture_key else None
        return replace(
            known,
            name=person.name or known.name,
            nickname=person.nickname or "",
            picture=picture,
            profile_updated=person.profile_updated_s,
            approved=person.approved,
            approved_me=person.approved_me,
            blocked=person.blocked,
            priority=-1 if settings.hidden else settings.pinned,
            notify=NotifyMode(settings.notify),
            muted_until=settings.muted_until_s,
            expiration=expiration_of(settings.expire_mode, settings.expire_s),
        )

    def without_contacts(self, data: Tree, addresses: Iterable[str]) -> Tree:
        """The contacts without some of them."""
        contacts = Contacts(data)
        for address in addresses:
            contacts = contacts.without_contact(AccountId(address))
        return contacts.data

    def without_reads(self, data: Tree, addresses: Iterable[str]) -> Tree:
        """The read states without those of some people."""
        reads = ConvoInfoVolatile(data)
        for address in addresses:
            reads = reads.without(ConversationKind.ONE_TO_ONE, address)
        return reads.data

    def with_read(self, data: Tree, addresses: Iterable[str], now_ms: int) -> Tree:
        """The read states with what the store says of some conversations."""
        reads = ConvoInfoVolatile(data)
        for address in addresses:
            if not address.startswith("05"):
                continue
            settings = self._store.configs.conversation(address)
            known = reads.get(ConversationKind.ONE_TO_ONE, address) or ReadState()
            state = replace(known, last_read_ms=max(known.last_read_ms, settings.read_ms), unread=settings.unread)
            reads = reads.with_read(ConversationKind.ONE_TO_ONE, address, state, now_ms)
        return reads.data

    def with_profile(self, data: Tree) -> Tree:
        """Our profile as the store has it, and how notes to self are kept."""
        get = self._store.settings.get
        profile = UserProfile(data)
        now_s = get("profile_updated_s") or 1  # a name that nobody changed must not win over one that somebody did
        name, url, key = get("display_name"), get("picture_url"), get("picture_key")
        if name:
            profile = profile.with_name(name, now_s)
        picture = Picture(url, key) if url and key else None
        if picture != profile.picture:
            profile = profile.with_picture(picture, now_s)
        settings = self._store.configs.conversation(self._own_id)
        priority = -1 if settings.hidden else settings.pinned
        if priority != profile.note_to_self_priority:
            profile = profile.with_note_to_self_priority(priority)
        return profile.with_note_to_self_expiry(settings.expire_s).data

    # From the configs to the store.

    def take_profile(self, data: Tree, *, unless_changed: bool = False) -> None:
        """Let the store say of ourselves what the config says; perhaps only if nothing later was said here."""
        profile, settings = UserProfile(data), self._store.settings
        if unless_changed and (settings.get("profile_updated_s") or 0) > profile.updated:
            return
        if profile.name:
            settings.set("display_name", profile.name)
        if profile.picture:
            settings.set("picture_url", profile.picture.url)
            settings.set("picture_key", profile.picture.key)
        else:
            settings.remove("picture_url")
            settings.remove("picture_key")
        if profile.updated:
            settings.set("profile_updated_s", profile.updated)
        known = self._store.configs.conversation(self._own_id)
        priority, seconds = profile.note_to_self_priority, profile.note_to_self_expiry
        wanted = replace(
            known,
            hidden=priority < 0,
            pinned=max(0, priority),
            expire_mode="after_send" if seconds else "off",
            expire_s=seconds,
        )
        if wanted != known:
            self._store.configs.set_conversation(wanted)

    def take_contacts(self, old: Tree, new: Tree) -> None:
        """Let the store say of people what the config says, where that has changed."""
        before = {contact.account_id: contact for contact in Contacts(old)}
        after = {contact.account_id: contact for contact in Contacts(new)}
        for account_id, contact in after.items():
            if contact != before.get(account_id) and account_id != self._own_id:
                self._take_contact(contact)
        for account_id in before.keys() - after.keys():
            self.delete_contact(account_id)

    def _take_contact(self, contact: Contact) -> None:
        people, address = self._store.people, contact.account_id
        people.put(
            PersonRow(
                address,
                contact.name or None,
                contact.nickname or None,
                contact.approved,
                contact.approved_me,
                contact.blocked,
                contact.picture.url if contact.picture else None,
                contact.picture.key if contact.picture else None,
                contact.profile_updated,
            )
        )
        if contact.approved:
            self._store.messages.settle_request(address)
        mode = contact.expiration.mode.name.lower()
        known = self._store.configs.conversation(address)
        wanted = ConversationSettings(
            address,
            hidden=contact.priority < 0,
            pinned=max(0, contact.priority),
            muted_until_s=contact.muted_until,
            notify=int(contact.notify),
            expire_mode=mode,
            expire_s=contact.expiration.seconds,
            read_ms=known.read_ms,
            unread=known.unread,
        )
        if wanted != known:
            self._store.configs.set_conversation(wanted)

    def delete_contact(self, account_id: AccountId) -> int:
        """Know somebody no more: neither names nor messages are left. Returns how many messages there were."""
        store = self._store
        store.people.forget(account_id)
        for table in (store.events, store.deliveries, store.marks):
            table.forget_person(account_id)
        store.configs.set_conversation(ConversationSettings(account_id, hidden=True))
        return store.messages.delete_conversation(account_id)

    def take_read(self, old: Tree, new: Tree) -> None:
        """Let what was read on another device count as read here."""
        before = dict(ConvoInfoVolatile(old).items(ConversationKind.ONE_TO_ONE))
        for address, state in ConvoInfoVolatile(new).items(ConversationKind.ONE_TO_ONE):
            if state == before.get(address):
                continue
            known = self._store.configs.conversation(address)
            wanted = replace(known, read_ms=max(known.read_ms, state.last_read_ms), unread=state.unread)
            if wanted != known:
                self._store.configs.set_conversation(wanted)
