"""Rooms of communities as several people and devices have them."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest

from session_cli.core.client import Client
from session_cli.core.communities.receiving import AFRESH_EVERY
from session_cli.devnet.faults import InnerStatus
from session_cli.devnet.network import Devnet
from session_cli.errors import InvalidAccountId, InvalidInput, InvalidUrl, NoPermission, NotFound
from session_cli.protocol.community import endpoints
from tests.support.group_clients import Maker
from tests.support.rooms import SINCE, a_file, ask, identity_of, latest, post_row, posts, said, told


def test_a_file_goes_to_the_room_and_comes_whole(net: Devnet, pair: tuple[Client, Client], tmp_path: Path) -> None:
    alice, bob = pair
    data = bytes(range(256)) * 300
    alice.send("lobby", "the list", attachments=[a_file(data)])
    assert said(bob) == ["the list"]
    (attachment,) = latest(bob).attachments
    assert (attachment.name, attachment.size) == ("list.txt", len(data))
    assert not [record for record in net.request_log if record.kind == "file"], (
        "the network's file server has none of it"
    )


def test_no_file_where_there_may_be_none(pair: tuple[Client, Client]) -> None:
    _, bob = pair
    bob.communities.join("quiet")
    with pytest.raises(NoPermission):
        bob.send("quiet", attachments=[a_file(b"data")])
    with pytest.raises(InvalidInput, match="alone"):
        list(bob.send_to_all(["lobby", "me"], "text", attachments=[a_file(b"data")]))


def test_what_a_moderator_deletes_at_once_is_gone_for_its_author(pair: tuple[Client, Client]) -> None:
    alice, bob = pair
    bob.send("lobby", "oops")
    assert said(alice) == ["oops"]
    list(alice.unsend([latest(alice).id]))
    assert said(bob) == ["unsend"]
    assert latest(bob).deleted
    assert said(bob) == []


def test_what_was_not_deleted_stays(pair: tuple[Client, Client]) -> None:
    alice, bob = pair
    for number in range(3):
        bob.send("lobby", f"message {number}")
        alice.send("lobby", f"answer {number}")
        assert "unsend" not in said(bob)
    assert said(bob) == []
    texts = [message.body for message in bob.history.log(bob.resolve("lobby"))]
    assert sorted(texts) == sorted(f"{what} {number}" for what in ("message", "answer") for number in range(3))


def test_older_messages_come_when_they_are_asked_for(pair: tuple[Client, Client], make: Maker) -> None:
    alice, _ = pair
    for number in range(120):
        alice.send("lobby", f"message {number}")
    carol = make("Carol")
    carol.communities.join("lobby")
    came = said(carol)
    assert came == [f"message {number}" for number in range(20, 120)], "the latest page, not all there is"
    assert carol.communities.fetch_older("lobby", 15) == 15
    assert said(carol) == []
    assert next(iter(carol.history.log(carol.resolve("lobby"), limit=500))).body == "message 5"
    assert carol.communities.fetch_older("lobby", 50) == 5
    assert carol.communities.fetch_older("lobby", 50) == 0


def test_rooms_are_the_same_on_all_devices(pair: tuple[Client, Client], make: Maker) -> None:
    alice, bob = pair
    alice.communities.join("books")
    alice.sync()
    tablet = make("tablet", of=alice)
    bob.send("lobby", "for all devices")
    assert "for all devices" in said(tablet)
    assert [room.name for room in tablet.communities.all()] == ["Books", "The Lobby"]
    tablet.communities.leave("books")
    tablet.sync()
    alice.poll()
    assert [room.name for room in alice.communities.all()] == ["The Lobby"]


def test_own_posts_stay_among_many(pair: tuple[Client, Client]) -> None:
    """More than a page came since the last poll, and ours are on the first one."""
    alice, bob = pair
    bob.send("lobby", "mine")
    for number in range(130):
        alice.send("lobby", f"message {number}")
    came = said(bob)
    assert came == [f"message {number}" for number in range(130)]
    assert said(bob) == []
    assert ("mine", "sent") in posts(bob)


def test_who_is_blocked_by_what_is_seen_stays_blocked(pair: tuple[Client, Client]) -> None:
    alice, bob = pair
    bob.send("lobby", "first")
    alice.send("lobby", "yes?")
    assert said(alice) == ["first"]
    bob.poll()
    seen = next(message.sender.id for message in alice.history.log(alice.resolve("lobby")) if message.body == "first")
    other = next(message.sender.id for message in bob.history.log(bob.resolve("lobby")) if message.body == "yes?")
    alice.contacts.set_blocked(seen, blocked=True)
    bob.send(other, "let me in")
    bob.send("lobby", "second")
    assert [event.message.body for event in alice.receive() if event.message] == []
    assert [body for body, _ in posts(alice)].count("second") == 0


def test_in_a_room_everybody_stays_who_is_seen_there(pair: tuple[Client, Client]) -> None:
    """Also where the account behind an id is known by now."""
    alice, bob = pair
    alice.send("lobby", "write to me")
    bob.send("lobby", "before")
    bob.poll()
    somebody = next(m.sender.id for m in bob.history.log(bob.resolve("lobby")) if m.body == "write to me")
    bob.send(somebody, "here I am")
    alice.poll()
    bob.send("lobby", "afterwards")
    alice.poll()
    senders = {
        message.sender.id for message in alice.history.log(alice.resolve("lobby")) if message.sender.name == "Bob"
    }
    assert senders == {identity_of(bob).member_id}
    assert alice.communities.ban("lobby", bob.account_id).account == bob.account_id


def test_deleted_direct_messages_do_not_come_back(pair: tuple[Client, Client]) -> None:
    alice, bob = pair
    alice.send("lobby", "write to me")
    bob.poll()
    bob.send(latest(bob).sender.id, "psst")
    alice.poll()
    alice.contacts.delete(bob.account_id)
    for _ in range(AFRESH_EVERY + 1):
        assert [event for event in alice.receive() if event.type == "message"] == []


def test_direct_messages_are_in_one_place_on_all_devices(pair: tuple[Client, Client], make: Maker) -> None:
    alice, bob = pair
    alice.send("lobby", "write to me")
    bob.poll()
    bob.send(latest(bob).sender.id, "psst")
    alice.poll()
    alice.send(bob.account_id, "yes?")
    bob.poll()
    bob.send(alice.account_id, "nothing")
    bob.sync()
    phone = make("phone", of=bob)
    phone.poll()
    phone.poll()
    assert sorted(message.body for message in phone.history.log(alice.account_id)) == ["nothing", "psst", "yes?"]


def test_nobody_is_given_power_by_the_name_that_he_gives_himself(pair: tuple[Client, Client]) -> None:
    alice, bob = pair
    bob.send("lobby", "hello")
    alice.poll()
    with pytest.raises(InvalidAccountId, match=f"call himself 'Bob'.*{identity_of(bob).member_id}"):
        alice.communities.grant("lobby", "Bob", admin=True)
    alice.contacts.rename(latest(alice).sender.id, "Robert")
    granted = alice.communities.grant("lobby", "Robert")
    assert (granted.id, granted.role) == (identity_of(bob).member_id, "moderator")
    assert said(bob) == ["community_update"]
    assert bob.communities.get("lobby").role == "moderator"
    assert alice.communities.revoke("lobby", bob.account_id).id == identity_of(bob).member_id


def test_who_has_written_nothing_can_be_banned_with_all_that_he_wrote(pair: tuple[Client, Client]) -> None:
    alice, bob = pair
    assert alice.communities.ban("lobby", identity_of(bob).member_id, delete=True).banned
    with pytest.raises(NoPermission):
        bob.send("lobby", "hello?")
    bob.communities.leave("lobby")
    with pytest.raises((NoPermission, NotFound)):
        bob.communities.join("lobby")
    for wrong in ("ab" * 33, "03" + "ab" * 32, "05" + "ab" * 32):
        with pytest.raises((InvalidAccountId, InvalidInput)):
            alice.communities.ban("lobby", wrong)


def test_reactions_that_come_with_a_message_are_no_news(pair: tuple[Client, Client], make: Maker) -> None:
    alice, bob = pair
    alice.send("lobby", "well?")
    bob.poll()
    bob.react(latest(bob).id, "👍")
    carol = make("Carol")
    carol.communities.join("lobby")
    assert said(carol) == ["well?"]
    assert [reaction.emoji for reaction in latest(carol).reactions] == ["👍"]


def test_a_room_is_joined_once_however_it_is_written(pair: tuple[Client, Client]) -> None:
    _, bob = pair
    url = bob.communities.get("lobby").url
    assert bob.communities.join(url.replace("http://", "HTTP://")).id == bob.communities.get("lobby").id
    with pytest.raises(InvalidInput, match="already"):
        bob.communities.join(url.replace("http://", "https://"))
    other = url.replace(url.rpartition("=")[2], "ab" * 32)
    with pytest.raises(InvalidUrl, match="whose key is"):
        bob.communities.join(other)
    bob.communities.leave("lobby")
    assert bob._store.communities.servers() == []


def test_who_is_meant_is_known(pair: tuple[Client, Client]) -> None:
    """Apps write @ and the id that is seen in the room."""
    alice, bob = pair
    bob.send("lobby", "I am Bob")
    alice.poll()
    stranger = "15" + "ab" * 32
    alice.send("lobby", f"@{identity_of(bob).member_id} and @{stranger}: look")
    bob.poll()
    seen = latest(bob)
    assert seen.mentioned
    assert seen.text == "@me and @15abababab…: look"
    assert latest(alice).text == f"@Bob ({identity_of(bob).member_id[:10]}…) and @15abababab…: look"
    assert not latest(alice).mentioned
    assert [party.id for party in seen.mentions] == [identity_of(bob).member_id, stranger]
    alice.send(bob.account_id, f"@{bob.account_id}, I mean you")
    bob.poll()
    first = next(iter(bob.history.log(alice.account_id)))
    assert first.text == "@me, I mean you"
    answer = bob.send(alice.account_id, "me?", quote=first.id)
    assert answer.quote
    assert answer.quote.text == first.text


def changes(client: Client) -> list[dict[str, Any]]:
    """What a server says that happened to rooms."""
    return [dict(event.content) for event in client.receive(types=["community_update"])]


def test_what_happens_to_a_room_is_told(net: Devnet, pair: tuple[Client, Client]) -> None:
    alice, bob = pair
    ask(alice, endpoints.set_room("lobby", name="The Hall"))
    assert changes(bob) == [{"change": "renamed", "name": "The Hall"}]
    assert bob.communities.get("The Hall").id == bob.resolve("lobby")
    ask(alice, endpoints.set_room("lobby", defaults={"write": False, "upload": False}))
    assert changes(bob) == [{"change": "rights", "write": False, "upload": False, "role": None}]
    with pytest.raises(NoPermission, match="read only"):
        bob.send("lobby", "and I?")
    gone = InnerStatus(404, "")
    methods = {"GET /room/<room>/pollInfo/<n>", "GET /room/<room>/messages/since/<n>"}
    with net.chaos.inject(gone, community=True, methods=methods):
        assert changes(bob) == [{"change": "gone"}]
        assert bob.communities.get("lobby").state == "gone"
        assert changes(bob) == []
    assert changes(bob) == [{"change": "opened"}]
    assert bob.communities.get("lobby").state == "joined"
    assert [message.kind for message in bob.history.log(bob.resolve("lobby"))].count("community_update") == 4


def test_a_blocked_persons_reactions_are_not_shown(pair: tuple[Client, Client]) -> None:
    alice, bob = pair
    bob.send("lobby", "hello")
    alice.poll()
    alice.contacts.set_blocked(latest(alice).sender.id, blocked=True)
    alice.send("lobby", "hm")
    bob.poll()
    bob.react(latest(bob).id, "😡")
    assert said(alice) == ["hello"]
    assert latest(alice).reactions == ()


def test_a_late_edit_leaves_the_message_where_it_is(net: Devnet, pair: tuple[Client, Client]) -> None:
    """Its time is that of the edit; and what can't be read of one takes nothing away."""
    alice, bob = pair
    bob.send("lobby", "helo")
    assert said(alice) == ["helo"]
    post_id = int(latest(alice).hash)
    now_s = bob.network.clock.now_ms() / 1000
    late = post_row(post_id, bob, "hello", posted=now_s - 30_000, edited=now_s)
    spoilt = {**late, "seqno": 2_000, "signature": base64.b64encode(bytes(64)).decode()}
    for row in (late, spoilt):
        with net.chaos.inject(told(row), community=True, methods=SINCE) as struck:
            assert said(alice) == []
            assert struck.hits
        assert (latest(alice).body, latest(alice).hash) == ("hello", str(post_id))


def test_names_of_rooms_stand_whoever_takes_them(pair: tuple[Client, Client]) -> None:
    alice, bob = pair
    alice.profiles.change(name="The Lobby")
    alice.send("lobby", "it's me")
    bob.poll()
    address = bob.communities.get("lobby").id
    assert bob.resolve("The Lobby") == address
    base_url = address.rpartition("/")[0]
    assert bob.resolve(f"{base_url}/r/lobby?public_key=x") == address
    with pytest.raises(InvalidAccountId):
        bob.recipient("Lobby")
