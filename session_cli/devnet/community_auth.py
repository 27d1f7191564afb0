"""Who asks a community server: the X-SOGS headers of a request, and what is wrong with them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from urllib.parse import unquote

from nacl import bindings as sodium

from ..errors import BadSignature
from ..protocol.account import account_id_of, verify_signature
from .community_people import CommunityPeople
from .community_store import CommunityStore, User
from .fields import from_base64, is_base64, is_hex
from .options import DAY
from .routes import TEXT, Reply, Request

_NAMES = ("pubkey", "nonce", "timestamp", "signature")
_FORM_TYPES = ("application/x-www-form-urlencoded", "multipart/form-data")
_WHOLE_NUMBER = re.compile(r"[0-9]{1,18}\Z")
MUST_BLIND = "this server requires the use of blinded ids"
"""What a client waits for to change to blinded ids."""


class Refused(Exception):
    """A request is answered with this instead of being carried out."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.status)
        self.reply = reply


class CommunityAuth:
    """Checks what requests are signed with. `blinded` refuses account ids, `accepts_25` takes ids of both kinds."""

    def __init__(
        self, store: CommunityStore, people: CommunityPeople, server_key: bytes, *, blinded: bool, accepts_25: bool
    ) -> None:
        self._store = store
        self._people = people
        self._server_key = server_key
        self._blinded = blinded
        self._prefixes = ("00", "15", "25") if accepts_25 else ("00", "15")

    def caller(self, request: Request) -> User | None:
        """Who asks; None if he does not say. Raises Refused."""
        headers = [request.headers.get(f"x-sogs-{name}") or "" for name in _NAMES]
        missing = headers.count("")
        if missing == len(_NAMES):
            return None
        if missing:
            text = f"Invalid authentication headers: missing {missing}/4 required X-SOGS-* headers"
            raise Refused(Reply(400, {"content-type": TEXT}, text.encode()))
        key = _decoded(headers[0], 33)
        if key is None:
            raise _unauthentic(400, "X-SOGS-Pubkey is not a valid 66-hex digit id")
        session_id = self._session_id(key)
        nonce, signature = _decoded(headers[1], 16), _decoded(headers[3], 64)
        if nonce is None:
            raise _unauthentic(400, "X-SOGS-Nonce is not 16 bytes in base64 or hex")
        if signature is None:
            raise _unauthentic(400, "X-SOGS-Signature is not 64 bytes in base64 or hex")
        if not _WHOLE_NUMBER.match(headers[2]):
            raise _unauthentic(400, "X-SOGS-Timestamp is not a valid timestamp")
        now = self._store.clock()
        if abs(int(headers[2]) - now) > DAY:
            raise _unauthentic(425, "X-SOGS-Timestamp is too far from current time")
        known = self._store.find_user(session_id)
        if known is not None and known.banned:
            raise Refused(Reply(403, {"content-type": TEXT}, b"Banned"))
        self._use_up(nonce, now)
        try:
            verify_signature(key[1:], self._server_key + nonce + headers[2].encode() + _signed(request), signature)
        except BadSignature:
            raise _unauthentic(401, "X-SOGS-Signature verification failed") from None
        user = self._people.arrive(session_id)
        if user.banned:
            # The ban was said of the account id.
            raise Refused(Reply(403, {"content-type": TEXT}, b"Banned"))
        return user

    def _session_id(self, key: bytes) -> str:
        """The id that belongs to the header's key (33 bytes). Raises Refused."""
        prefix = key[:1].hex()
        if prefix not in self._prefixes:
            names = " or ".join(f"{name}-" for name in self._prefixes)
            raise _unauthentic(400, f"X-SOGS-Pubkey must be {names} prefixed")
        if not sodium.crypto_core_ed25519_is_valid_point(key[1:]):
            raise _unauthentic(400, "X-SOGS-Pubkey is not a valid Ed25519 key")
        if prefix != "00":
            return key.hex()
        if self._blinded:
            raise _unauthentic(400, MUST_BLIND)
        return account_id_of(key[1:])

    def forget_old_nonces(self) -> None:
        """Let go of nonces whose timestamps would be refused anyway."""
        self._store.execute("DELETE FROM community_nonces WHERE expires <= ?", self._store.clock())

    def _use_up(self, nonce: bytes, now: float) -> None:
        sql = "INSERT OR IGNORE INTO community_nonces VALUES (?, ?)"
        if self._store.execute(sql, nonce, now + 2 * DAY).rowcount == 0:
            raise _unauthentic(425, "X-SOGS-Nonce cannot be reused")


def without_authentication(headers: Mapping[str, str]) -> dict[str, str]:
    """Headers without those that say who asks."""
    return {name: value for name, value in headers.items() if not name.startswith("x-sogs-")}


def _signed(request: Request) -> bytes:
    path, question_mark, query = request.target.partition("?")
    signed = request.method.encode() + unquote(path).encode("utf-8", "surrogatepass")
    if query:
        signed += (question_mark + query).encode()
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    # The real server's framework takes a form apart, which leaves no body.
    if request.body and media_type not in _FORM_TYPES:
        signed += hashlib.blake2b(request.body, digest_size=64).digest()
    return signed


def _decoded(text: str, size: int) -> bytes | None:
    """So many bytes, written in hex or in base64; None if they are not."""
    if len(text) == 2 * size and is_hex(text):
        return bytes.fromhex(text)
    if not is_base64(text):
        return None
    data = from_base64(text.rstrip("="))
    return data if len(data) == size else None


def _unauthentic(status: int, reason: str) -> Refused:
    return Refused(Reply(status, {"content-type": TEXT}, f"Invalid authentication: {reason}".encode()))
