"""Messages that disappear, as an official app would send them, and what swarms hold of them."""

from __future__ import annotations

from session_cli.devnet.network import Devnet
from session_cli.protocol import content as contents
from session_cli.protocol.payload import Content, Expiration, ExpirationMode, Payload, VisibleMessage
from session_cli.protocol.storage_rpc import MAX_TTL_MS
from tests.support.strangers import Stranger
from tests.support.swarm import put_messages

AFTER_READ, AFTER_SEND = ExpirationMode.AFTER_READ, ExpirationMode.AFTER_SEND


def put_fading(
    net: Devnet,
    stranger: Stranger,
    to: str,
    said: str | Payload,
    mode: ExpirationMode,
    seconds: int,
    *,
    sent_ms: int | None = None,
) -> tuple[int, str]:
    """Send what disappears, with the life in the swarm that the apps give it; returns its time and hash."""
    sent = stranger.next_ms() if sent_ms is None else sent_ms
    payload = VisibleMessage(said) if isinstance(said, str) else said
    content = contents.serialize(Content(payload, sent, Expiration(mode, seconds)))
    ttl_ms = 1000 * seconds if mode is AFTER_SEND else MAX_TTL_MS
    (hash,) = put_messages(net, to, [stranger.seal(to, content, sent_ms=sent)], ttl_ms=ttl_ms)
    return sent, hash
