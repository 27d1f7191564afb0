"""The account's own profile, and the settings of its conversation with itself."""

from __future__ import annotations

from dataclasses import dataclass

from ...errors import InvalidInput
from ..content import MAX_NAME_BYTES
from . import fields
from .fields import Picture
from .pro import ProCredential, read_credential
from .tree import EMPTY, Tree, Value

PRO_NOTICE_S = 7 * 24 * 60 * 60
"""How long a purchase or a refund is under way at most."""
_NAME = b"n"
_UPDATED, _REUPLOADED = b"t", b"T"
_PICTURE, _REUPLOADED_PICTURE = fields.Pictured(b"p", b"q"), fields.Pictured(b"P", b"Q")
_PRIORITY = fields.Number(b"+")
_EXPIRY = fields.Positive(b"e")
_BLINDED_REQUESTS = b"M"
_PRO_FEATURES = fields.Numbers(b"f")
_PRO_CREDENTIAL = b"s"
_PRO_EXPIRY, _PRO_GRACE, _PRO_RENEWING = fields.Positive(b"E"), fields.Positive(b"G"), fields.Flag(b"A")
_PRO_REFUND, _PRO_PURCHASE = fields.Positive(b"R"), fields.Positive(b"I")
_MILLISECONDS_FROM = 10**12


@dataclass(frozen=True, slots=True)
class UserProfile:
    """A view of the data of a UserProfile config. Times are in seconds, 0 if there is none."""

    data: Tree = EMPTY

    @property
    def name(self) -> str:
        """The display name, which may be empty."""
        return fields.text(self.data, _NAME, MAX_NAME_BYTES)

    def with_name(self, name: str, now_s: int) -> UserProfile:
        """With another name; an empty one removes it. Raises InvalidInput for one of more than 100 bytes of UTF-8."""
        encoded = name.encode(errors="replace")
        if len(encoded) > MAX_NAME_BYTES:
            raise InvalidInput(f"A name has at most {MAX_NAME_BYTES} bytes of UTF-8, this has {len(encoded)}.")
        return self if name == self.name else self._updated(_NAME, encoded or None, now_s)

    @property
    def picture(self) -> Picture | None:
        """The picture to show: as the user set it, or as a device uploaded it again since."""
        return (_PICTURE if self._is_own_current else _REUPLOADED_PICTURE).read(self.data)

    def with_picture(self, picture: Picture | None, now_s: int) -> UserProfile:
        """With another picture of the user's choice, or none. Raises InvalidInput for one that can't be."""
        if picture == _PICTURE.read(self.data) and (picture or _REUPLOADED_PICTURE.read(self.data) is None):
            return self
        data = _PICTURE.write(self.data, picture)
        if picture is None:
            data = _REUPLOADED_PICTURE.write(data, None)
        return UserProfile(data.with_value([_UPDATED], now_s))

    def with_reuploaded_picture(self, picture: Picture, now_s: int) -> UserProfile:
        """After the same picture was uploaded again, before its file expires. Raises InvalidInput."""
        if picture == _REUPLOADED_PICTURE.read(self.data):
            return self
        data = _REUPLOADED_PICTURE.write(self.data, picture)
        return UserProfile(data.with_value([_REUPLOADED], now_s))

    @property
    def updated(self) -> int:
        """When the profile last changed: what outgoing messages say, so that receivers know which is newer."""
        return max(0, fields.integer(self.data, _UPDATED), fields.integer(self.data, _REUPLOADED))

    def with_time(self, updated_s: int) -> UserProfile:
        """With a later time of the last change, so that receivers take it for newer than what they know."""
        return UserProfile(self.data.with_value([_UPDATED if self._is_own_current else _REUPLOADED], updated_s))

    @property
    def note_to_self_priority(self) -> int:
        """Above 0 if the conversation with oneself is pinned, -1 if it is hidden."""
        return _PRIORITY.read(self.data)

    def with_note_to_self_priority(self, priority: int) -> UserProfile:
        """With the conversation with oneself pinned, hidden or neither."""
        return UserProfile(_PRIORITY.write(self.data, priority))

    @property
    def note_to_self_expiry(self) -> int:
        """After how many seconds from sending messages to oneself disappear; 0 for never."""
        return _EXPIRY.read(self.data)

    def with_note_to_self_expiry(self, seconds: int) -> UserProfile:
        """With messages to oneself that disappear; 0 for never."""
        return UserProfile(_EXPIRY.write(self.data, seconds))

    @property
    def blinded_requests(self) -> bool | None:
        """Whether people known from communities alone may write; None if the user has not said."""
        value = self.data.get(_BLINDED_REQUESTS)
        return value != 0 if isinstance(value, int) else None

    def with_blinded_requests(self, allowed: bool | None, now_s: int) -> UserProfile:
        """With or without messages from people known from communities alone."""
        if allowed == self.blinded_requests:
            return self
        return self._updated(_BLINDED_REQUESTS, None if allowed is None else int(allowed), now_s)

    @property
    def pro_features(self) -> frozenset[int]:
        """The numbers of the subscription's features in use: 0 a badge, 1 an animated picture."""
        return _PRO_FEATURES.read(self.data)

    @property
    def pro_credential(self) -> ProCredential | None:
        """What proves a subscription, in whichever form it was written; None if there is none that is understood."""
        return read_credential(self.data.get(_PRO_CREDENTIAL))

    @property
    def pro_expiry(self) -> int:
        """When the subscription ends."""
        expiry = _PRO_EXPIRY.read(self.data)
        return expiry // 1000 if expiry > _MILLISECONDS_FROM else expiry

    @property
    def pro_grace(self) -> int:
        """For how many seconds after its end the subscription still counts, while a payment is awaited."""
        return _PRO_GRACE.read(self.data)

    @property
    def pro_renews(self) -> bool:
        """Whether the subscription renews itself."""
        return _PRO_RENEWING.read(self.data)

    def pro_refund_requested(self, now_s: int) -> int:
        """When a refund was asked for that may still be under way."""
        return _if_recent(_PRO_REFUND.read(self.data), now_s)

    def pro_purchase_begun(self, now_s: int) -> int:
        """When a purchase was begun that may still be under way."""
        return _if_recent(_PRO_PURCHASE.read(self.data), now_s)

    @property
    def _is_own_current(self) -> bool:
        return fields.integer(self.data, _UPDATED) >= fields.integer(self.data, _REUPLOADED)

    def _updated(self, key: bytes, value: Value | None, now_s: int) -> UserProfile:
        # The later of the two times moves, so that the picture which is shown stays the one that is shown.
        return UserProfile(self.data.with_value([key], value)).with_time(now_s)


def _if_recent(time: int, now_s: int) -> int:
    return time if time > now_s - PRO_NOTICE_S else 0
