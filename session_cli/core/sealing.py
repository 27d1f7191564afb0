"""What goes to the swarms: contents sealed for those whom they are for, and for our own other devices."""

from __future__ import annotations

from dataclasses import replace

from ..errors import MessageTooLong
from ..protocol import content as contents
from ..protocol import payload as payloads
from ..protocol import session_v1, storage_rpc
from ..protocol.account import AccountId
from ..protocol.payload import (
    Content,
    Expiration,
    ExpirationMode,
    Payload,
    Profile,
    Quote,
    Reaction,
    RequestAccepted,
    TimerUpdate,
    VisibleMessage,
)
from ..protocol.storage_rpc import MAX_TTL_MS, MIN_TTL_MS
from ..store.records import AttachmentRow, MessageRow, NewDelivery, NewMessage
from .profile import Profile as LocalProfile

STAYS = Expiration()


class Sealer:
    """Seals what one profile sends."""

    def __init__(self, profile: LocalProfile) -> None:
        self._identity = profile.identity
        self._settings = profile.store.settings

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
        accounts = dict.fromkeys((recipient, self._identity.account_id))
        return [
            self.seal(
                payload, account, sent_ms, self.ttl_ms(account, expiration), recipient=recipient, expiration=expiration
            )
            for account in accounts
        ]

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
        serialized = contents.serialize(Content(payload, sent_ms, expiration))
        if len(serialized) > session_v1.MAX_CONTENT_BYTES:
            raise MessageTooLong(
                f"The message takes {len(serialized):,} bytes; a swarm stores up to {session_v1.MAX_CONTENT_BYTES:,}."
            )
        data = session_v1.encode_message(self._identity, account, serialized, sent_ms)
        role = "own" if account == own_id else "recipient"
        return NewDelivery(role, account, ttl_ms, data, storage_rpc.message_hash(account, 0, data))


def expiration_of(mode: str, seconds: int) -> Expiration:
    """An expiration as the store has it, as a value of the protocol."""
    return Expiration(ExpirationMode[mode.upper()], seconds)


def payload_of(entry: NewMessage | MessageRow) -> Payload:
    """What is sent for a message of ours as it is in the store."""
    if entry.kind == "expiration_update":
        return TimerUpdate()
    quote = Quote(entry.quote_author, entry.quote_ms) if entry.quote_author and entry.quote_ms else None
    return VisibleMessage(entry.body, tuple(map(_pointer, entry.attachments)), quote)


def _pointer(attachment: AttachmentRow) -> payloads.AttachmentPointer:
    from ..protocol.attachment import parse_download_url

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
        server_id=parse_download_url(attachment.url).numeric_id,
    )
