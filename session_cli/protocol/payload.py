"""What a message can say: typed, immutable values, one class a kind of payload."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .account import AccountId


class ExpirationMode(enum.Enum):
    """What starts the clock of a disappearing message."""

    OFF = 0
    AFTER_READ = 1
    AFTER_SEND = 2


@dataclass(frozen=True, slots=True)
class Expiration:
    """Disappearing-message setting of one message; `seconds` is 0 when off."""

    mode: ExpirationMode = ExpirationMode.OFF
    seconds: int = 0


@dataclass(frozen=True, slots=True)
class Profile:
    """A sender's self-description. `picture_key` is 32 bytes, or None without a picture."""

    name: str | None = None
    picture_url: str | None = None
    picture_key: bytes | None = field(default=None, repr=False)
    updated_s: int = 0


@dataclass(frozen=True, slots=True)
class AttachmentPointer:
    """Where an encrypted file lies, and how to open it. `size` is the plaintext's, in bytes.

    Files in the rooms of communities are not encrypted: their `key` is empty.
    """

    url: str
    key: bytes = field(repr=False)
    size: int
    digest: bytes | None = None
    content_type: str = "application/octet-stream"
    file_name: str | None = None
    voice: bool = False
    width: int | None = None
    height: int | None = None
    caption: str | None = None
    server_id: int = 0


@dataclass(frozen=True, slots=True)
class Quote:
    """A reply's reference to a message: its author and sent time; `text` is only what old clients add."""

    author: str
    timestamp_ms: int
    text: str | None = None


@dataclass(frozen=True, slots=True)
class LinkPreview:
    """A preview of a link in the body, made by the sender."""

    url: str
    title: str | None = None
    image: AttachmentPointer | None = None


@dataclass(frozen=True, slots=True)
class CommunityInvitation:
    """An invitation to a community: its join URL and name."""

    url: str
    name: str


@dataclass(frozen=True, slots=True)
class VisibleMessage:
    """What people write. `sync_target` is set in the copy for one's own devices only.

    `blocks_requests` goes with what is written in communities: whether the author wants no direct messages from there.
    """

    body: str = ""
    attachments: tuple[AttachmentPointer, ...] = ()
    quote: Quote | None = None
    preview: LinkPreview | None = None
    invitation: CommunityInvitation | None = None
    profile: Profile | None = None
    sync_target: str | None = None
    blocks_requests: bool | None = None


@dataclass(frozen=True, slots=True)
class TimerUpdate:
    """An announced change of the disappearing-message setting; the new one is the content's `expiration`."""

    profile: Profile | None = None
    sync_target: str | None = None


@dataclass(frozen=True, slots=True)
class Reaction:
    """An emoji put on (or taken off) a message."""

    author: str
    timestamp_ms: int
    emoji: str
    remove: bool
    profile: Profile | None = None
    sync_target: str | None = None


@dataclass(frozen=True, slots=True)
class ReadReceipt:
    """The sent times of our messages that the peer has read."""

    timestamps_ms: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Typing:
    """The peer started or stopped typing."""

    started: bool


@dataclass(frozen=True, slots=True)
class Unsend:
    """A request to delete one message for everyone."""

    author: str
    timestamp_ms: int


@dataclass(frozen=True, slots=True)
class MediaSaved:
    """The peer saved an attachment of the message sent at this time (0: unknown)."""

    timestamp_ms: int


@dataclass(frozen=True, slots=True)
class RequestAccepted:
    """The peer accepted our message request."""

    profile: Profile | None = None


class CallKind(enum.Enum):
    """The step of a call that a signalling message takes."""

    OFFER = 1
    ANSWER = 2
    PROVISIONAL_ANSWER = 3
    ICE_CANDIDATES = 4
    END_CALL = 5
    PRE_OFFER = 6


@dataclass(frozen=True, slots=True)
class Call:
    """Signalling of a call; all messages of one call share the lower-case uuid."""

    kind: CallKind
    uuid: str
    sdps: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class GroupUpdate:
    """What all messages have in common by which closed groups are run. Signatures have 64 bytes.

    Invitations and promotions go to one person, everything else to the group.
    """


@dataclass(frozen=True, slots=True)
class GroupInvite(GroupUpdate):
    """An invitation to a group, with what lets us in (100 bytes), signed by an admin."""

    group_id: AccountId
    name: str
    auth_data: bytes = field(repr=False)
    signature: bytes = field(repr=False)
    profile: Profile | None = None


@dataclass(frozen=True, slots=True)
class GroupPromotion(GroupUpdate):
    """The seed of a group (32 bytes), which makes us an admin, and is its own proof."""

    seed: bytes = field(repr=False)
    name: str
    profile: Profile | None = None


class GroupInfoKind(enum.Enum):
    """What of a group an admin changed."""

    NAME = 1
    PICTURE = 2
    TIMER = 3


@dataclass(frozen=True, slots=True)
class GroupInfoChange(GroupUpdate):
    """A notice of what an admin changed: the new name, or after how many seconds messages disappear (0: never).

    Only that there was a change of this kind is signed: what holds stands in the group's configs.
    """

    kind: GroupInfoKind
    name: str | None
    timer_s: int | None
    signature: bytes = field(repr=False)


class GroupMemberKind(enum.Enum):
    """What an admin did with members."""

    ADDED = 1
    REMOVED = 2
    PROMOTED = 3


@dataclass(frozen=True, slots=True)
class GroupMemberChange(GroupUpdate):
    """A notice of members whom an admin added (with the messages so far?), removed or promoted.

    Only that there was a change of this kind is signed: who is a member stands in the group's configs.
    """

    kind: GroupMemberKind
    members: tuple[AccountId, ...]
    history_shared: bool
    signature: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class GroupMemberLeft(GroupUpdate):
    """The sender leaves the group: an admin is to remove it."""


@dataclass(frozen=True, slots=True)
class GroupLeftNotice(GroupUpdate):
    """The sender leaves the group: something for people to read."""


@dataclass(frozen=True, slots=True)
class GroupInviteResponse(GroupUpdate):
    """The sender accepted an invitation to the group, or not."""

    approved: bool
    profile: Profile | None = None


@dataclass(frozen=True, slots=True)
class GroupDeleteContent(GroupUpdate):
    """Messages to be deleted: those with these hashes in the swarm, and all that these members have sent so far.

    Signed by an admin, or without a signature; then it counts for the sender's own messages alone.
    """

    members: tuple[AccountId, ...]
    hashes: tuple[str, ...]
    signature: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Ignored:
    """Something that is valid and means nothing to a client of today; `what` names it for the log."""

    what: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """Something that only a later version can understand; `what` says what it is, as far as that can be seen."""

    what: str
    sync_target: str | None = None


Payload = (
    VisibleMessage
    | TimerUpdate
    | Reaction
    | ReadReceipt
    | Typing
    | Unsend
    | MediaSaved
    | RequestAccepted
    | Call
    | GroupUpdate
    | Ignored
    | Unknown
)


@dataclass(frozen=True, slots=True)
class Content:
    """One message's content. `timestamp_ms` is the signed sent time; None from clients that leave it out."""

    payload: Payload
    timestamp_ms: int | None
    expiration: Expiration = Expiration()
