"""What the configs say, in the terms of the store; and back.

The configs hold what all devices of an account share. Each has its own store; here one is brought in step with the
other, field by field. Whatever else the configs hold stays as it is, and so do values that the store can't express.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace
from typing import Any

from ..protocol.account import AccountId, IdPrefix
from ..protocol.config.contacts import Contact, Contacts
from ..protocol.config.convo_info_volatile import ConversationKind, ConvoInfoVolatile, ReadState
from ..protocol.config.fields import KEY_BYTES, MAX_PICTURE_URL_BYTES, NotifyMode, Picture
from ..protocol.config.tree import Tree
from ..protocol.config.user_profile import UserProfile
from ..store.configs import ConversationSettings
from ..store.conversations import AHEAD_MS
from ..store.records import PersonRow
from ..store.store import Store
from .group_views import is_group
from .sealing import expiration_of

_MAX_TIMER_S = 2**32 - 1
"""What a message can say of how long it stays."""


class ConfigViews:
    """Moves things between the store of one account and the data of its configs. To be called in a transaction."""

    def __init__(self, store: Store, own_id: AccountId) -> None:
        self._store = store
        self._own_id = own_id

    # From the store to the configs.

    def with_contacts(self, data: Tree, addresses: Iterable[str], now_s: int) -> Tree:
        """The contacts with what the store says of some of them."""
        contacts = Contacts(data)
        nicknames = _nicknames(contacts)
        for address in addresses:
            if address == self._own_id or not address.startswith("05"):
                continue
            account_id = AccountId(address)
            known, person = contacts.get(account_id), self._store.people.get(address)
            if person is None or not (known or person.is_contact):
                continue
            changed = self._changed(known or Contact(account_id, created=now_s), nicknames.get(account_id), person)
            contacts = contacts.with_contact(changed)
        return contacts.data

    def _changed(self, contact: Contact, nickname: str | None, person: PersonRow) -> Contact:
        """A contact with what the store says otherwise than it would say if it had been told of the contact alone."""
        was, is_set = _person_of(contact, nickname), _settings_of(contact, ConversationSettings(person.address))
        changes: dict[str, Any] = {
            name: getattr(person, name)
            for name in ("approved", "approved_me", "blocked")
            if getattr(person, name) != getattr(was, name)
        }
        if person.name and person.name != was.name:
            changes["name"] = person.name
        if person.nickname != was.nickname:
            changes["nickname"] = person.nickname or ""
        if (person.picture_url, person.picture_key) != (was.picture_url, was.picture_key):
            changes["picture"] = _picture(person.picture_url, person.picture_key)
        if person.profile_updated_s != was.profile_updated_s:
            changes["profile_updated"] = person.profile_updated_s
        settings = self._store.configs.conversation(person.address)
        if _priority(settings) != _priority(is_set):
            changes["priority"] = _priority(settings)
        if settings.muted_until_s != is_set.muted_until_s:
            changes["muted_until"] = settings.muted_until_s
        if settings.notify != is_set.notify:
            changes["notify"] = NotifyMode(settings.notify)
        if (settings.expire_mode, settings.expire_s) != (is_set.expire_mode, is_set.expire_s):
            changes["expiration"] = expiration_of(settings.expire_mode, settings.expire_s)
        return replace(contact, **changes)

    def settle_nicknames(self, old: Tree, new: Tree) -> None:
        """Let people be found by the nicknames that nobody else has any more, after contacts were changed here."""
        before, after = _nicknames(Contacts(old)), _nicknames(Contacts(new))
        for account_id, nickname in after.items():
            person = self._store.people.get(account_id)
            if before.get(account_id) != nickname and person is not None and person.nickname != nickname:
                self._store.people.put(replace(person, nickname=nickname))

    def without_contacts(self, data: Tree, addresses: Iterable[str]) -> Tree:
        """The contacts without some of them."""
        contacts = Contacts(data)
        for address in addresses:
            contacts = contacts.without_contact(AccountId(address))
        return contacts.data

    def with_read(self, data: Tree, addresses: Iterable[str], deleted: Collection[str], now_ms: int) -> Tree:
        """The read states with what the store says of some conversations, without `deleted` and what is long past."""
        reads = ConvoInfoVolatile(data)
        for address in deleted:
            reads = reads.without(_kind(address), address)
        for address in addresses:
            settings = self._store.configs.conversation(address)
            gone = address in deleted and not (settings.unread or self._is_known(address))
            if gone or address[:2] not in (IdPrefix.USER, IdPrefix.GROUP):
                continue
            known = reads.get(_kind(address), address) or ReadState()
            state = replace(known, last_read_ms=max(known.last_read_ms, settings.read_ms), unread=settings.unread)
            if state != known:
                reads = reads.with_read(_kind(address), address, state, now_ms)
        return reads.without_stale(now_ms).data

    def _is_known(self, address: str) -> bool:
        person = self._store.people.get(address)
        return person is not None and person.is_contact

    def with_profile(self, data: Tree) -> Tree:
        """Our profile as the store has it, and how notes to self are kept."""
        get = self._store.settings.get
        profile = UserProfile(data)
        now_s = get("profile_updated_s") or 1  # what nobody changed must not be newer than what somebody did
        name, url, key = get("display_name"), get("picture_url"), get("picture_key")
        if name:
            profile = profile.with_name(name, now_s)
        was = profile.picture
        if (url, key) != ((was.url, was.key) if was else (None, None)):
            profile = profile.with_picture(_picture(url, key), now_s)
        settings = self._store.configs.conversation(self._own_id)
        is_set = _note_settings(profile, settings)
        if _priority(settings) != _priority(is_set):
            profile = profile.with_note_to_self_priority(_priority(settings))
        if settings.expire_s != is_set.expire_s:
            profile = profile.with_note_to_self_expiry(settings.expire_s)
        return profile.data

    # From the configs to the store.

    def take_profile(self, data: Tree, *, keep_newer: bool) -> None:
        """Let the store say of ourselves what the config says; but (`keep_newer`) not for what was changed later."""
        profile, settings = UserProfile(data), self._store.settings
        newer = keep_newer and (settings.get("profile_updated_s") or 0) > profile.updated
        if profile.name and not (newer and settings.get("display_name")):
            settings.set("display_name", profile.name)
        if not newer:
            if profile.picture:
                settings.set("picture_url", profile.picture.url)
                settings.set("picture_key", profile.picture.key)
            else:
                settings.remove("picture_url")
                settings.remove("picture_key")
            if profile.updated:
                settings.set("profile_updated_s", profile.updated)
        known = self._store.configs.conversation(self._own_id)
        wanted = _note_settings(profile, known)
        if wanted != known:
            self._store.configs.set_conversation(wanted)

    def take_contacts(self, old: Tree, new: Tree, unshared: Collection[str]) -> list[str]:
        """Let the store say of people what the config says, where that has changed.

        Of those in `unshared` the config was never told, so nothing that is known of them is given up. Returns of whom
        the store knows more than the config then.
        """
        before, after = _shown(old), _shown(new)
        ahead = []
        for account_id, shown in after.items():
            if (
                shown != before.get(account_id)
                and account_id != self._own_id
                and self._take_contact(*shown, account_id in unshared)
            ):
                ahead.append(str(account_id))
        for account_id in before.keys() - after.keys():
            self._forget(account_id)
        return ahead

    def _take_contact(self, contact: Contact, nickname: str | None, unshared: bool) -> bool:
        address = contact.account_id
        wanted = told = _person_of(contact, nickname)
        known = self._store.people.get(address)
        if known is not None:
            if known.profile_updated_s > told.profile_updated_s:
                # The two other fields come from messages, too: whoever has seen the newest of these knows best.
                wanted = replace(
                    wanted,
                    name=known.name or told.name,
                    picture_url=known.picture_url,
                    picture_key=known.picture_key,
                    profile_updated_s=known.profile_updated_s,
                )
            elif told.name is None:
                wanted = replace(wanted, name=known.name)
            if unshared:
                wanted = replace(
                    wanted,
                    nickname=told.nickname or known.nickname,
                    approved=told.approved or known.approved,
                    approved_me=told.approved_me or known.approved_me,
                    blocked=told.blocked or known.blocked,
                )
        self._store.people.put(wanted)
        if wanted.approved:
            self._store.messages.settle_request(address)
        settings = self._store.configs.conversation(address)
        if (wanted_settings := _settings_of(contact, settings)) != settings:
            self._store.configs.set_conversation(wanted_settings)
        return wanted != told

    def delete_contact(self, account_id: AccountId) -> int:
        """Know somebody no more: neither names nor messages are left. Returns how many messages there were."""
        count = self._forget(account_id)
        self._store.conversations.clear_unread(account_id)
        return count

    def _forget(self, account_id: AccountId) -> int:
        store = self._store
        store.people.forget(account_id)
        for table in (store.events, store.deliveries, store.marks):
            table.forget_person(account_id)
        # How far it is read, another config says.
        unread = store.configs.conversation(account_id).unread
        store.configs.set_conversation(ConversationSettings(account_id, hidden=True, unread=unread))
        return store.messages.delete_conversation(account_id)

    def take_read(self, old: Tree, new: Tree, read_ms: int, now_ms: int) -> list[str]:
        """Let what was read on another device, at `read_ms` or before, count as read here; returns where we are ahead.

        Not up to a time far off that a sender made up: what comes later would be read, too. A state that is there no
        more says nothing, but that no user wants to find the conversation unread.
        """
        before, after = _reads(old), _reads(new)
        for address in before.keys() - after.keys():
            self._store.conversations.clear_unread(address)
        ahead = []
        for address, state in after.items():
            if state == before.get(address):
                continue
            known = self._store.configs.conversation(address)
            until_ms = min(state.last_read_ms, now_ms + AHEAD_MS)
            wanted = replace(known, read_ms=max(known.read_ms, until_ms), unread=state.unread)
            if wanted != known:
                self._store.configs.set_conversation(wanted)
            if known.read_ms > state.last_read_ms:
                ahead.append(address)
            if until_ms > known.read_ms:
                for message_id in self._store.timers.waiting_for_reader(address, until_ms):
                    self._store.timers.start(message_id, min(now_ms, max(read_ms, until_ms)))
        return ahead


def _kind(address: str) -> ConversationKind:
    return ConversationKind.GROUP if is_group(address) else ConversationKind.ONE_TO_ONE


def _reads(data: Tree) -> dict[str, ReadState]:
    """How far conversations with people and groups are read."""
    reads = ConvoInfoVolatile(data)
    return {**dict(reads.items(ConversationKind.ONE_TO_ONE)), **dict(reads.items(ConversationKind.GROUP))}


def _shown(data: Tree) -> dict[AccountId, tuple[Contact, str | None]]:
    """The contacts, and the nicknames that the store has of them."""
    contacts = Contacts(data)
    nicknames = _nicknames(contacts)
    return {contact.account_id: (contact, nicknames.get(contact.account_id)) for contact in contacts}


def _nicknames(contacts: Contacts) -> dict[AccountId, str]:
    """The nicknames by which people can be found here: of several who have the same, the first one has it."""
    owners: dict[str, AccountId] = {}
    for contact in contacts:
        if contact.nickname:
            owners.setdefault(contact.nickname, contact.account_id)
    return {account_id: nickname for nickname, account_id in owners.items()}


def _person_of(contact: Contact, nickname: str | None) -> PersonRow:
    return PersonRow(
        contact.account_id,
        contact.name or None,
        nickname,
        contact.approved,
        contact.approved_me,
        contact.blocked,
        contact.picture.url if contact.picture else None,
        contact.picture.key if contact.picture else None,
        contact.profile_updated,
    )


def _settings_of(contact: Contact, known: ConversationSettings) -> ConversationSettings:
    """What is set for a contact's conversation; what the contacts don't say of it stays as it is known."""
    return replace(
        known,
        hidden=contact.priority < 0,
        pinned=max(0, contact.priority),
        muted_until_s=contact.muted_until,
        notify=int(contact.notify),
        expire_mode=contact.expiration.mode.name.lower(),
        expire_s=min(contact.expiration.seconds, _MAX_TIMER_S),
    )


def _note_settings(profile: UserProfile, known: ConversationSettings) -> ConversationSettings:
    seconds = min(profile.note_to_self_expiry, _MAX_TIMER_S)
    return replace(
        known,
        hidden=profile.note_to_self_priority < 0,
        pinned=max(0, profile.note_to_self_priority),
        expire_mode="after_send" if seconds else "off",
        expire_s=seconds,
    )


def _priority(settings: ConversationSettings) -> int:
    return -1 if settings.hidden else settings.pinned


def _picture(url: str | None, key: bytes | None) -> Picture | None:
    """A picture that other devices can take, or None."""
    if not url or not key or len(key) != KEY_BYTES or len(url.encode(errors="replace")) > MAX_PICTURE_URL_BYTES:
        return None
    return Picture(url, key)
