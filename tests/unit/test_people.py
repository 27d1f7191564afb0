"""What is believed of the profiles that come with messages, and what is told of them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from session_cli.cli.notices import event_line
from session_cli.cli.output import Painter, event_text
from session_cli.core.model import Viewer
from session_cli.core.people import learn_profile
from session_cli.protocol import content as contents
from session_cli.protocol.account import AccountId, Identity
from session_cli.protocol.content import MAX_PICTURE_URL_BYTES, truncate_name
from session_cli.protocol.payload import Profile, RequestAccepted, VisibleMessage
from session_cli.protocol.proto import session_pb2 as pb
from session_cli.store.events import EVERYTHING
from session_cli.store.store import Store
from tests.support.stores import profile_in_memory

ME = Identity.from_seed(bytes(16))
BOB = AccountId("05" + "b" * 64)
URL, OTHER_URL = "http://files.test/file/1", "http://files.test/file/2"
KEY = b"k" * 32


@pytest.fixture
def store() -> Iterator[Store]:
    store = profile_in_memory(ME).store
    yield store
    store.close()


def learn(store: Store, *profiles: Profile, sender: AccountId = BOB, keep_picture: bool = False) -> None:
    with store.transaction():
        for profile in profiles:
            learn_profile(store, sender, profile, 5_000, sender == ME.account_id, keep_picture=keep_picture)


def shown(store: Store) -> tuple[str | None, str | None]:
    person = store.people.get(BOB)
    return (person.name, person.picture_url) if person else (None, None)


def told(store: Store) -> list[str]:
    viewer = Viewer(ME.account_id, None, 0)
    return [event_line(viewer.event(row)) for row in store.events.unread("default", EVERYTHING, 100)]


def approve(store: Store) -> None:
    with store.transaction():
        store.people.approve(BOB, by_us=True)


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        ((0, 0), "second"),
        ((5, 0), "first"),
        ((0, 5), "second"),
        ((5, 5), "first"),
        ((5, 6), "second"),
        ((6, 5), "first"),
    ],
)
def test_the_later_profile_counts(times: tuple[int, int], expected: str, store: Store) -> None:
    learn(store, Profile("first", URL, KEY, times[0]), Profile("second", OTHER_URL, KEY, times[1]))
    assert shown(store) == (expected, URL if expected == "first" else OTHER_URL)


def test_name_and_picture_go_together(store: Store) -> None:
    learn(store, Profile("Bob", URL, KEY, 1))
    learn(store, Profile("Robert", None, None, 2))
    assert shown(store) == ("Robert", None)
    learn(store, Profile(None, URL, KEY, 3))
    assert shown(store) == ("Robert", URL), "without a name the old one stays"
    learn(store, Profile("Bob", OTHER_URL, KEY, 2))
    assert shown(store) == ("Robert", URL)


def test_an_acceptance_without_a_picture_leaves_the_old_one(store: Store) -> None:
    learn(store, Profile("Bob", URL, KEY, 1))
    learn(store, Profile("Robert", None, None, 2), keep_picture=True)
    assert shown(store) == ("Robert", URL)


def test_nothing_is_learnt_from_an_empty_profile_or_of_ourselves(store: Store) -> None:
    learn(store, Profile("Bob", URL, KEY))
    learn(store, Profile(updated_s=9))
    learn(store, Profile("Me", URL, KEY, 9), sender=ME.account_id)
    assert shown(store) == ("Bob", URL)
    assert store.people.get(ME.account_id) is None
    assert store.settings.get("display_name") is None


def test_only_changes_of_people_we_wrote_to_are_news(store: Store) -> None:
    learn(store, Profile("Bob", None, None, 1))
    learn(store, Profile("Bobby", None, None, 2))
    assert told(store) == []
    approve(store)
    learn(store, Profile("Bobby", None, None, 3))
    assert told(store) == []
    learn(store, Profile("Robert", None, None, 4))
    learn(store, Profile("Robert", URL, KEY, 5))
    learn(store, Profile("Robert", URL, KEY, 6))
    learn(store, Profile("Robert", OTHER_URL, KEY, 7))
    learn(store, Profile("Robert", None, None, 8))
    learn(store, Profile("old", None, None, 7))
    picture = "has another picture"
    assert told(store) == ["is called Robert now, no longer Bobby", picture, picture, "has no picture any more"]


def test_the_first_name_is_no_news(store: Store) -> None:
    approve(store)
    learn(store, Profile("Bob", URL, KEY, 1))
    assert told(store) == []


def test_names_do_no_harm_where_they_are_shown(store: Store) -> None:
    approve(store)
    learn(store, Profile("Bob"), Profile("\x1b[2J\u202eevil\n2026-01-01  Alice"))
    (row,) = store.events.unread("default", EVERYTHING, 100)
    text = event_text(Viewer(ME.account_id, None, 0).event(row), Painter(enabled=False))
    assert "␛[2J<U+202E>evil␊2026-01-01" in text
    assert not any(char in text for char in "\x1b\u202e")


# Off the wire.


def _profile(message: pb.Content) -> Profile | None:
    payload = contents.parse(message.SerializeToString()).payload
    assert isinstance(payload, VisibleMessage | RequestAccepted)
    return payload.profile


def _both(profile: pb.LokiProfile, key: bytes) -> list[Profile | None]:
    """The same profile with a message and with an acceptance."""
    data = pb.DataMessage(body="x", profile=profile, profileKey=key)
    response = pb.MessageRequestResponse(isApproved=True, profile=profile, profileKey=key)
    return [_profile(pb.Content(dataMessage=data)), _profile(pb.Content(messageRequestResponse=response))]


@pytest.mark.parametrize(
    ("url", "key", "has_one"),
    [
        (URL, KEY, True),
        ("u" * MAX_PICTURE_URL_BYTES, KEY, True),
        ("u" * (MAX_PICTURE_URL_BYTES + 1), KEY, False),
        ("é" * MAX_PICTURE_URL_BYTES, KEY, False),
        (URL, b"", False),
        (URL, KEY[:16], False),
        (URL, KEY + b"k", False),
        ("", KEY, False),
        ("", b"", False),  # as Android writes where there is none
    ],
)
def test_which_pictures_are_ones(url: str, key: bytes, has_one: bool) -> None:
    profile = pb.LokiProfile(displayName="Bob", profilePicture=url, lastUpdateSeconds=7)
    expected = Profile("Bob", url if has_one else None, key if has_one else None, 7)
    assert _both(profile, key) == [expected, expected]


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=150))
def test_long_names_are_cut_between_two_characters(name: str) -> None:
    (found, _) = _both(pb.LokiProfile(displayName=name), b"")
    cut = (found.name or "") if found else ""
    assert name.startswith(cut)
    assert cut == truncate_name(name)
    assert len(cut.encode()) <= 100
    assert cut == name or len((cut + name[len(cut)]).encode()) > 100
