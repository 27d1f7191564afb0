"""What messages can say, and what can happen to their bytes, for properties."""

from __future__ import annotations

from hypothesis import strategies as st

from session_cli.protocol.account import AccountId
from session_cli.protocol.content import MAX_NAME_BYTES, MAX_PICTURE_URL_BYTES, MAX_TIME_MS, truncate_name
from session_cli.protocol.group.identity import GroupIdentity
from session_cli.protocol.payload import (
    AttachmentPointer,
    Call,
    CallKind,
    CommunityInvitation,
    Content,
    Expiration,
    ExpirationMode,
    GroupDeleteContent,
    GroupInfoChange,
    GroupInfoKind,
    GroupInvite,
    GroupInviteResponse,
    GroupLeftNotice,
    GroupMemberChange,
    GroupMemberKind,
    GroupMemberLeft,
    GroupPromotion,
    GroupUpdate,
    LinkPreview,
    MediaSaved,
    Payload,
    Profile,
    Quote,
    Reaction,
    ReadReceipt,
    RequestAccepted,
    TimerUpdate,
    Typing,
    Unsend,
    VisibleMessage,
)

Strategy = st.SearchStrategy

UINT32 = st.integers(0, 2**32 - 1)
UINT64 = st.integers(0, 2**64 - 1)
TIMES = st.integers(0, MAX_TIME_MS)
CHARACTERS = st.characters(exclude_categories=["Cs"])
TEXTS = st.text(CHARACTERS, max_size=60)
WORDS = st.text(CHARACTERS, min_size=1, max_size=20)
IDS = st.binary(min_size=32, max_size=32).map(lambda key: "05" + key.hex())
KEYS = st.binary(min_size=32, max_size=32)
NAMES = st.text(CHARACTERS, min_size=1, max_size=MAX_NAME_BYTES).map(truncate_name)
PICTURES = st.tuples(st.text("/.:#abc1", min_size=1, max_size=MAX_PICTURE_URL_BYTES), KEYS)


def _maybe(strategy: Strategy[str]) -> Strategy[str | None]:
    return st.none() | strategy


@st.composite
def _profiles(draw: st.DrawFn) -> Profile:
    name, picture, updated_s = (
        draw(_maybe(NAMES)),
        draw(st.none() | PICTURES),
        draw(st.integers(0, MAX_TIME_MS // 1000)),
    )
    url, key = picture or (None, None)
    return Profile(name, url, key, updated_s)


@st.composite
def _pointers(draw: st.DrawFn) -> AttachmentPointer:
    width, height = draw(st.just((None, None)) | st.tuples(st.integers(1, 2**32 - 1), st.integers(1, 2**32 - 1)))
    return AttachmentPointer(
        url=draw(TEXTS),
        key=draw(st.binary(max_size=70)),
        size=draw(UINT32),
        digest=draw(st.none() | st.binary(min_size=1, max_size=40)),
        content_type=draw(WORDS),
        file_name=draw(_maybe(WORDS)),
        voice=draw(st.booleans()),
        width=width,
        height=height,
        caption=draw(_maybe(WORDS)),
        server_id=draw(UINT64),
    )


ANY_PROFILE = st.none() | _profiles().filter(lambda profile: profile != Profile())
TARGETS = _maybe(IDS)
POINTERS = _pointers()
VISIBLE = st.builds(
    VisibleMessage,
    body=TEXTS,
    attachments=st.lists(POINTERS, max_size=3).map(tuple),
    quote=st.none() | st.builds(Quote, IDS, TIMES),
    preview=st.none() | st.builds(LinkPreview, TEXTS, _maybe(WORDS), st.none() | POINTERS),
    invitation=st.none() | st.builds(CommunityInvitation, TEXTS, TEXTS),
    profile=ANY_PROFILE,
    sync_target=TARGETS,
).filter(
    lambda message: bool(
        message.body.strip() or message.attachments or message.quote or message.preview or message.invitation
    )
)
REACTIONS = st.builds(Reaction, IDS, TIMES, WORDS, st.booleans(), ANY_PROFILE, TARGETS)
CALLS = st.builds(Call, st.sampled_from(CallKind), st.uuids().map(str), st.lists(TEXTS, max_size=3).map(tuple))
SIGNATURES = st.binary(min_size=64, max_size=64)
MEMBERS = st.lists(IDS.map(AccountId), max_size=3).map(tuple)
GROUP_IDS = KEYS.map(lambda seed: GroupIdentity.from_seed(seed).group_id)
GROUP_UPDATES: Strategy[GroupUpdate] = st.one_of(
    st.builds(
        GroupInvite, GROUP_IDS, TEXTS.map(truncate_name), st.binary(min_size=100, max_size=100), SIGNATURES, ANY_PROFILE
    ),
    st.builds(GroupPromotion, KEYS, TEXTS.map(truncate_name), ANY_PROFILE),
    st.builds(
        GroupInfoChange,
        st.sampled_from(GroupInfoKind),
        _maybe(TEXTS.map(truncate_name)),
        st.none() | UINT32,
        SIGNATURES,
    ),
    st.builds(GroupMemberChange, st.sampled_from(GroupMemberKind), MEMBERS, st.booleans(), SIGNATURES),
    st.builds(GroupMemberLeft),
    st.builds(GroupLeftNotice),
    st.builds(GroupInviteResponse, st.booleans(), ANY_PROFILE),
    st.builds(GroupDeleteContent, MEMBERS, st.lists(TEXTS, max_size=3).map(tuple), st.none() | SIGNATURES),
)
PAYLOADS: Strategy[Payload] = st.one_of(
    VISIBLE,
    st.builds(TimerUpdate, ANY_PROFILE, TARGETS),
    REACTIONS,
    st.builds(ReadReceipt, st.lists(TIMES, max_size=10, unique=True).map(tuple)),
    st.builds(Typing, st.booleans()),
    st.builds(Unsend, IDS, TIMES),
    st.builds(MediaSaved, TIMES),
    st.builds(RequestAccepted, ANY_PROFILE),
    CALLS,
    GROUP_UPDATES,
)
EXPIRATIONS = st.just(Expiration()) | st.builds(
    Expiration, st.sampled_from([ExpirationMode.AFTER_READ, ExpirationMode.AFTER_SEND]), st.integers(1, 2**32 - 1)
)
CONTENTS = st.builds(
    lambda payload, sent_ms, expiration: Content(
        payload, sent_ms, Expiration() if isinstance(payload, Typing) else expiration
    ),
    PAYLOADS,
    st.none() | st.integers(1, MAX_TIME_MS),
    EXPIRATIONS,
)


@st.composite
def mutations(draw: st.DrawFn, valid: Strategy[bytes]) -> bytes:
    """Valid bytes after some accidents: flipped bits, lost and doubled parts, parts of others in between."""
    data = bytearray(draw(valid))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(data)))
        end = draw(st.integers(start, min(len(data), start + 20)))
        match draw(st.sampled_from(["flip", "cut", "drop", "double", "splice", "noise"])):
            case "flip" if start < len(data):
                data[start] ^= 1 << draw(st.integers(0, 7))
            case "cut":
                del data[start:]
            case "drop":
                del data[start:end]
            case "double":
                data[start:start] = data[start:end]
            case "splice":
                other = draw(valid)
                data[start:end] = other[draw(st.integers(0, len(other))) :]
            case "noise":
                data[start:end] = draw(st.binary(max_size=8))
    return bytes(data)
