"""What the configs say, in the terms of the store; and back.

The configs hold what all devices of an account share. Each has its own store; here one is brought in step with the
other, field by field. Whatever else the configs hold stays as it is, and so do values that the store can't express.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable
from dataclasses import replace
from typing import Any

from ..errors import InvalidInput
from ..protocol.account import AccountId
from ..protocol.config.contacts import Contact, Contacts
from ..protocol.config.convo_info_volatile import ReadState
from ..protocol.config.fields import KEY_BYTES, MAX_PICTURE_URL_BYTES, NotifyMode, Picture
from ..protocol.config.tree import Tree
from ..protocol.config.user_profile import UserProfile
from ..store.configs import ConversationSettings
from ..store.conversations import AHEAD_MS
from ..store.records import PersonRow
from ..store.store import Store
from .read_states import ReadStates
from .sealing import expiration_of

LOG = logging.getLogger(__name__)
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
        nicknames = self._nicknames(contacts)
        for address in addresses:
            if address == self._own_id or not address.startswith("05"):
                continue
            account_id = AccountId(address)
            known, person = contacts.get(account_id), self._store.people.get(address)
            if person is None or not (known or person.is_contact):
                continue
            changed = self._changed(known or Contact(account_id, created=now_s), nicknames.get(account_id), person)
            try:
                contacts = contacts.with_contact(changed)
            except InvalidInput as error:
                # One of them must not hold up the others, and all that comes.
                LOG.warning("Our other devices can't be told of %s…: %s", address[:10], error.message)
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

    def _nicknames(self, contacts: Contacts) -> dict[AccountId, str]:
        """The nicknames by which people can be found here: of several who have the same, one.

        That is the one who can be found by it already: a name must not mean somebody else from one moment to the next.
        """
        owners: dict[str, AccountId] = {}
        for contact in contacts:
            if not contact.nickname:
                continue
            if contact.nickname in owners and self._store.people.by_nickname(contact.nickname) != contact.account_id:
                continue
            owners[contact.nickname] = contact.account_id
        return {account_id: nickname for nickname, account_id in owners.items()}

    def settle_nicknames(self, data: Tree) -> None:
        """Let people be found by the nicknames that nobody else has any more, after contacts were changed here."""
        for account_id, nickname in self._nicknames(Contacts(data)).items():
            person = self._store.people.get(account_id)
            if person is not None and person.nickname is None:
                self._store.people.put(replace(person, nickname=nickname))

    def without_contacts(self, data: Tree, addresses: Iterable[str]) -> Tree:
        """The contacts without some of them."""
        contacts = Contacts(data)
        for address in addresses:
            contacts = contacts.without_contact(AccountId(address))
        return contacts.data

    def with_read(self, data: Tree, addresses: Iterable[str], deleted: Collection[str], now_ms: int) -> Tree:
        """The read states with what the store says of some conversations, without `deleted` and what is long past."""
        reads = ReadStates.of(data, self._store.communities)
        for address in deleted:
            reads = reads.without(address)
        for address in addresses:
            settings = self._store.configs.conversation(address)
            gone = address in deleted and not (settings.unread or self._is_known(address))
            if gone or not reads.has_place_for(address):
                continue
            known = reads.get(address) or ReadState()
            state = replace(known, last_read_ms=max(known.last_read_ms, settings.read_ms), unread=settings.unread)
            if state != known:
                reads = reads.with_read(address, state, now_ms)
        return reads.view.without_stale(now_ms).data

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
            try:
                profile = profile.with_name(name, now_s)
            except InvalidInput as error:
                LOG.warning("Our other devices can't be told our name: %s", error.message)
        was = profile.picture
        if (url, key) != ((was.url, was.key) if was else (None, None)):
            profile = profile.with_picture(_picture(url, key), now_s)
        if (get("profile_updated_s") or 0) > profile.updated:
            profile = profile.with_time(now_s)
        requests = get("community_requests")
        if requests is not None:
            profile = profile.with_blinded_requests(requests != 0, now_s)
        settings = self._store.configs.conversation(self._own_id)
        is_set = _note_settings(profile, settings)
        if _priority(settings) != _priority(is_set):
            profile = profile.with_note_to_self_priority(_priority(settings))
        if settings.expire_s != is_set.expire_s:
            profile = profile.with_note_to_self_expiry(settings.expire_s)
        return profile.data

    # From the configs to the store.

    def take_profile(self, data: Tree, merged_ms: int, now_ms: int, *, polled: bool, unshared: bool) -> bool:
        """Let the store say of ourselves what the config says; returns whether the store knows more then.

        Before the swarm was asked once (not `polled`), what was changed here later stays. Afterwards the config holds
        that already; but others believe only what has a later time than what they know. `unshared`: the config was
        never told how our notes to self are kept.
        """
        profile, settings = UserProfile(data), self._store.settings
        changed_s = settings.get("profile_updated_s") or 0
        ours = tuple(map(settings.get, ("display_name", "picture_url", "picture_key")))
        url, key = (profile.picture.url, profile.picture.key) if profile.picture else (None, None)
        newer = profile.updated < changed_s <= (now_ms + AHEAD_MS) // 1000 and ours != (profile.name, url, key)
        kept = newer and not polled
        if profile.name and not (kept and settings.get("display_name")):
            settings.set("display_name", profile.name)
        if not kept:
            for name, value in (("picture_url", url), ("picture_key", key)):
                if value is None:
                    settings.remove(name)
                else:
                    settings.set(name, value)
            if profile.updated:
                told_s = min(profile.updated, (now_ms + AHEAD_MS) // 1000)
                settings.set("profile_updated_s", changed_s + 1 if newer else told_s)
        allowed = profile.blinded_requests
        if allowed is not None and (polled or settings.get("community_requests") is None):
            settings.set("community_requests", int(allowed))
        known = self._store.configs.conversation(self._own_id)
        note = _note_settings(profile, known)
        wanted = _kept(known, note) if unshared else note
        self._set_conversation(known, wanted, merged_ms)
        return newer or wanted != note

    def _set_conversation(self, known: ConversationSettings, wanted: ConversationSettings, told_ms: int) -> None:
        if wanted == known:
            return
        self._store.configs.set_conversation(wanted)
        if wanted.hidden and not known.hidden:
            self._store.conversations.note_gone(wanted.address, told_ms)

    def take_contacts(self, old: Tree, new: Tree, unshared: Collection[str], told_ms: int) -> list[str]:
        """Let the store say of people what the config, which was stored at `told_ms`, says, where that has changed.

        Of those in `unshared` the config was never told, so nothing that is known of them is given up. Returns of whom
        the store knows more than the config then.
        """
        before, after = self._shown(old), self._shown(new)
        ahead = []
        for account_id, (contact, nickname) in after.items():
            told = before[account_id][0].nickname if account_id in before else ""
            if contact.nickname != told and contact.nickname and nickname is None:
                LOG.warning(
                    "Another device has given the name %r to somebody else, %s…; here it stays with whom it was given.",
                    contact.nickname,
                    account_id[:10],
                )
        for account_id, shown in after.items():
            if (
                shown != before.get(account_id)
                and account_id != self._own_id
                and self._take_contact(*shown, account_id in unshared, told_ms)
            ):
                ahead.append(str(account_id))
        for account_id in before.keys() - after.keys():
            if account_id not in unshared and self._forget_until(account_id, told_ms):
                ahead.append(str(account_id))
        return ahead

    def _shown(self, data: Tree) -> dict[AccountId, tuple[Contact, str | None]]:
        """The contacts, and the nicknames that the store has of them."""
        contacts = Contacts(data)
        nicknames = self._nicknames(contacts)
        return {contact.account_id: (contact, nicknames.get(contact.account_id)) for contact in contacts}

    def _take_contact(self, contact: Contact, nickname: str | None, unshared: bool, told_ms: int) -> bool:
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
        if wanted.blocked and not (known and known.blocked):
            # What they were still to be told, they are not.
            self._store.chores.add_hashes(self._store.deliveries.cancel(address))
        settings = self._store.configs.conversation(address)
        told_settings = _settings_of(contact, settings)
        wanted_settings = _kept(settings, told_settings) if unshared else told_settings
        self._set_conversation(settings, wanted_settings, told_ms)
        return wanted != told or wanted_settings != told_settings

    def delete_contact(self, account_id: AccountId, now_ms: int) -> int:
        """Know somebody no more: neither names nor messages are left. Returns how many messages there were."""
        count = self._forget(account_id, now_ms)
        self._store.conversations.clear_unread(account_id)
        return count

    def _forget_until(self, account_id: AccountId, told_ms: int) -> bool:
        """Know somebody no more whom another device has deleted, but for what was said since; whether anything was."""
        store = self._store
        lost = store.messages.count_waiting(account_id, told_ms)
        if lost:
            LOG.warning(
                "Not sent, and deleted: %d messages to %s…, whom another device of yours has deleted.",
                lost,
                account_id[:10],
            )
        self._forget(account_id, told_ms, before_ms=told_ms)
        left = store.messages.directions(account_id)
        if left:
            store.conversations.show(account_id)
        for direction in left:
            store.people.approve(account_id, by_us=direction == "outgoing")
        return bool(left)

    def _forget(self, account_id: AccountId, gone_ms: int, before_ms: int | None = None) -> int:
        store = self._store
        store.people.forget(account_id)
        for table in (store.events, store.deliveries, store.marks):
            table.forget_person(account_id)
        # How far it is read, another config says.
        unread = store.configs.conversation(account_id).unread
        store.configs.set_conversation(ConversationSettings(account_id, hidden=True, unread=unread))
        store.conversations.note_gone(account_id, gone_ms)
        return store.messages.delete_conversation(account_id, before_ms)

    def take_read(self, old: Tree, new: Tree, read_ms: int, now_ms: int) -> list[str]:
        """Let what was read on another device, at `read_ms` or before, count as read here; returns where we are ahead.

        Not up to a time far off that a sender made up: what comes later would be read, too. A state that is there no
        more says nothing, but that no user wants to find the conversation unread.
        """
        before, after = (ReadStates.of(data, self._store.communities).all() for data in (old, new))
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


def _kept(known: ConversationSettings, told: ConversationSettings) -> ConversationSettings:
    """What we are told of a conversation, but for what was set here before anybody was told of that."""
    return replace(
        told,
        hidden=told.hidden or known.hidden,
        pinned=told.pinned or known.pinned,
        muted_until_s=max(told.muted_until_s, known.muted_until_s),
        notify=told.notify or known.notify,
        expire_mode=known.expire_mode if known.expire_s else told.expire_mode,
        expire_s=known.expire_s or told.expire_s,
    )


def _priority(settings: ConversationSettings) -> int:
    return -1 if settings.hidden else settings.pinned


def _picture(url: str | None, key: bytes | None) -> Picture | None:
    """A picture that other devices can take, or None."""
    if not url or not key or len(key) != KEY_BYTES or len(url.encode(errors="replace")) > MAX_PICTURE_URL_BYTES:
        return None
    return Picture(url, key)
