"""What goes to the swarms: contents sealed for those whom they are for, and for our own other devices."""

from __future__ import annotations

import hashlib
import re
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from ..errors import InvalidInput, MessageTooLong, NotAdmin, ProtocolError
from ..protocol import content as contents
from ..protocol import payload as payloads
from ..protocol import session_v1, storage_rpc
from ..protocol.account import AccountId, is_blinded, is_community, is_group
from ..protocol.payload import (
    Content,
    Expiration,
    ExpirationMode,
    GroupInvite,
    GroupInviteResponse,
    GroupPromotion,
    Payload,
    Profile,
    Quote,
    Reaction,
    RequestAccepted,
    TimerUpdate,
    VisibleMessage,
)
from ..protocol.storage_rpc import MAX_TTL_MS, MIN_TTL_MS, Namespace
from ..store.records import AttachmentRow, DeliveryRow, MessageRow, NewDelivery, NewMessage
from ..store.store import Store
from .profile import Profile as LocalProfile

if TYPE_CHECKING:
    from ..protocol.group.identity import GroupIdentity
    from .groups.state import GroupState

STAYS = Expiration()
_ACCOUNT = re.compile(r"@(05[0-9a-f]{64})(?![0-9a-f])")
"""Somebody who is meant by the account id."""


class Sealer:
    """Seals what one profile sends."""

    def __init__(self, profile: LocalProfile) -> None:
        self._identity = profile.identity
        self._settings = profile.store.settings
        self._groups = _Groups(profile.store, profile.identity.account_id)
        self._rooms = _Rooms(profile)

    @property
    def _own_profile(self) -> Profile | None:
        """What we tell others of ourselves."""
        get = self._settings.get
        name, url, key = get("display_name"), get("picture_url"), get("picture_key")
        return Profile(name, url, key, get("profile_updated_s") or 0) if name or url else None

    def seal_message(
        self, recipient: AccountId, payload: Payload, sent_ms: int, expiration: Expiration
    ) -> list[NewDelivery]:
        """What has to be stored of a message: for the recipient, if that is somebody else, and for our own devices.

        The swarms keep what disappears for no longer than they have to.
        """
        # A group's swarm is that of all devices of all of its members; and so is a community server.
        alone = is_group(recipient) or is_community(recipient) or is_blinded(recipient)
        own = () if alone else (self._identity.account_id,)
        accounts = dict.fromkeys((recipient, *own))
        return [
            self.seal(
                payload, account, sent_ms, self.ttl_ms(account, expiration), recipient=recipient, expiration=expiration
            )
            for account in accounts
        ]

    def seal_entry(self, entry: NewMessage | MessageRow, sent_ms: int, expiration: Expiration) -> list[NewDelivery]:
        """What has to be stored of an entry of ours, as `seal_message`. Raises NotAdmin, and what `seal` raises."""
        payload = self._payload_of(entry, sent_ms)
        return self.seal_message(AccountId(entry.conversation), payload, sent_ms, expiration)

    def _payload_of(self, entry: NewMessage | MessageRow, sent_ms: int) -> Payload:
        """What is sent for a message of ours as it is in the store."""
        if is_group(entry.conversation) and entry.kind != "message":
            from ..protocol.group import updates
            from .groups.notices import payload_of_notice

            admin = self._groups.admin(entry.conversation)
            if entry.kind == "group_update":
                return payload_of_notice(entry.content, admin, sent_ms)
            if admin is None:
                raise NotAdmin("You are no admin of this group any more.")
            return updates.timer_change(admin, entry.content["seconds"], sent_ms)
        if entry.kind == "expiration_update":
            return TimerUpdate()
        author, body = entry.quote_author, entry.body
        if is_community(entry.conversation):
            author = self._rooms.author(entry.conversation, author) if author else None
            body = _ACCOUNT.sub(lambda match: self._rooms.mention(entry.conversation, match[1]), body)
        quote = Quote(author, entry.quote_ms) if author and entry.quote_ms else None
        return VisibleMessage(body, tuple(map(_pointer, entry.attachments)), quote)

    def is_current(self, delivery: DeliveryRow) -> bool:
        """Whether what waits for a group is encrypted with its newest key: those who were removed since have others."""
        if not is_group(delivery.account):
            return True
        from ..protocol.group import messages

        keys = self._groups.keys(delivery.account)[:1]
        try:
            messages.decrypt(AccountId(delivery.account), keys, delivery.data)
        except ProtocolError:
            return False
        return True

    def ttl_ms(self, account: AccountId, expiration: Expiration) -> int:
        """How long the swarm of an account keeps what disappears so.

        What we wrote ourselves counts as read; when somebody else reads it, nobody knows beforehand.
        """
        own = account == self._identity.account_id
        starts = expiration.mode is ExpirationMode.AFTER_SEND or (own and expiration.mode is ExpirationMode.AFTER_READ)
        return max(MIN_TTL_MS, min(1000 * expiration.seconds, MAX_TTL_MS)) if starts else MAX_TTL_MS

    def seal(
        self,
        payload: Payload,
        account: AccountId,
        sent_ms: int,
        ttl_ms: int = MAX_TTL_MS,
        *,
        recipient: AccountId | None = None,
        expiration: Expiration = STAYS,
    ) -> NewDelivery:
        """A payload for one account, to be kept for `ttl_ms`; `recipient` is whom it is for, if not that account.

        Others get our profile with it, our own devices the name of who it was for. Raises MessageTooLong.
        """
        own_id = self._identity.account_id
        match payload:
            case VisibleMessage() | TimerUpdate() | Reaction() if account == own_id:
                payload = replace(payload, sync_target=recipient or account)
            case VisibleMessage() | TimerUpdate() | Reaction() | RequestAccepted():
                payload = replace(payload, profile=self._own_profile)
            case GroupInvite() | GroupPromotion() | GroupInviteResponse():
                payload = replace(payload, profile=self._own_profile)
        is_open = is_community(account) or is_blinded(account)
        if is_open:
            if not isinstance(payload, VisibleMessage):
                raise InvalidInput("Through a community server nothing can be sent but messages.")
            payload = replace(payload, blocks_requests=self._settings.get("community_requests") == 0)
        serialized = contents.serialize(Content(payload, sent_ms, expiration))
        if is_open:
            # Sealed when it goes out, as whoever we are to the server by then; until then it needs a name of its own.
            name = hashlib.blake2b(f"{account} {sent_ms} ".encode() + serialized, digest_size=32).hexdigest()
            return NewDelivery("recipient", account, ttl_ms, serialized, name)
        if is_group(account):
            return self._seal_for_group(serialized, account, sent_ms, ttl_ms)
        if len(serialized) > session_v1.MAX_CONTENT_BYTES:
            raise MessageTooLong(
                f"The message takes {len(serialized):,} bytes; a swarm stores up to {session_v1.MAX_CONTENT_BYTES:,}."
            )
        data = session_v1.encode_message(self._identity, account, serialized, sent_ms)
        role = "own" if account == own_id else "recipient"
        return NewDelivery(role, account, ttl_ms, data, storage_rpc.message_hash(account, 0, data))

    def _seal_for_group(self, serialized: bytes, group_id: AccountId, sent_ms: int, ttl_ms: int) -> NewDelivery:
        from ..protocol.group import messages

        keys = self._groups.keys(group_id)
        if not keys:
            raise InvalidInput("The keys of this group have not come yet, so nothing can be sent to it: session recv")
        data = messages.encode_message(self._identity, group_id, keys[0], serialized, sent_ms)
        hash = storage_rpc.message_hash(group_id, Namespace.GROUP_MESSAGES, data)
        return NewDelivery("recipient", group_id, ttl_ms, data, hash)


class _Rooms:
    """Who people are in rooms, where nobody shows the account that he has."""

    def __init__(self, profile: LocalProfile) -> None:
        self._identity = profile.identity
        self._communities = profile.store.communities

    def author(self, address: str, person: str) -> str | None:
        """The id by which somebody is known in a room, or None."""
        if is_blinded(person):
            return person
        room = self._communities.room(address)
        server = self._communities.server(room.base_url) if room is not None else None
        if server is None:
            return None
        if person != self._identity.account_id:
            # Who writes there under his account has shown it himself.
            shown = person if person in self._communities.senders(address) else None
            return self._communities.blinded_of(person, server.base_url) or shown
        from ..protocol.community.auth import ServerIdentity

        return ServerIdentity.of(self._identity, server.server_key).member_id

    def mention(self, address: str, account: str) -> str:
        """How somebody is meant in a room, where his account id is nobody's business."""
        author = self.author(address, account)
        room = self._communities.room(address)
        server = self._communities.server(room.base_url) if room is not None else None
        if author is None and server is not None:
            from ..protocol.blinding import blinded15_ids

            with suppress(InvalidInput):  # what is none hides nobody
                candidates = blinded15_ids(AccountId(account), server.server_key)
                senders = self._communities.senders(address)
                author = next((one for one in candidates if one in senders), candidates[0])
        return f"@{author or account}"


class _Groups:
    """What sealing for groups needs of them. Loaded when something is to be sealed for one."""

    def __init__(self, store: Store, own_id: AccountId) -> None:
        self._store = store
        self._own_id = own_id

    def _load(self, group_id: str) -> GroupState | None:
        from .groups.state import GroupStore

        return GroupStore(self._store, self._own_id).load(group_id)

    def keys(self, group_id: str) -> tuple[bytes, ...]:
        """The keys of a group, the newest first."""
        state = self._load(group_id)
        return state.keys.encryption_keys if state else ()

    def admin(self, group_id: str) -> GroupIdentity | None:
        """What admins of a group have, if we are one."""
        state = self._load(group_id)
        return state.admin if state else None


def expiration_of(mode: str, seconds: int) -> Expiration:
    """An expiration as the store has it, as a value of the protocol."""
    return Expiration(ExpirationMode[mode.upper()], seconds)


def _pointer(attachment: AttachmentRow) -> payloads.AttachmentPointer:
    from ..protocol.attachment import parse_download_url

    in_room = not attachment.key
    number = int(attachment.url.rpartition("/")[2]) if in_room else parse_download_url(attachment.url).numeric_id
    return payloads.AttachmentPointer(
        url=attachment.url,
        key=attachment.key,
        size=attachment.size,
        digest=attachment.digest,
        content_type=attachment.content_type,
        file_name=attachment.name,
        voice=attachment.voice,
        width=attachment.width,
        height=attachment.height,
        caption=attachment.caption,
        server_id=number,
    )
