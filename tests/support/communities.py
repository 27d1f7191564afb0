"""People in rooms of communities, and what they see of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from session_cli.devnet.community_options import LOBBY, CommunityOptions, CommunityRoom
from session_cli.devnet.network import Devnet, DevnetOptions
from tests.support.devnet import Person

ROOMS = (
    LOBBY,
    CommunityRoom("books", "Books", "What we read"),
    CommunityRoom("news", "News", write=False),
    CommunityRoom("words", "Words", upload=False),
)
"""`news` can only be read by who is no moderator, and to `words` nobody else can send files."""


@dataclass(frozen=True, slots=True)
class Server:
    """A local network with a community server, and where people on it have their homes."""

    net: Devnet
    folder: Path

    def person(self, name: str, *rooms: str) -> Person:
        """Somebody with an account, who has joined these rooms of the server."""
        made = Person(self.folder / name.lower(), self.folder / "network.toml").init("--name", name)
        for token in rooms:
            made.run("community", "join", token, "--quiet")
        return made

    def url(self, token: str = "lobby") -> str:  # noqa: S107 - no password
        """What a room is joined with."""
        return self.net.room_url(token)

    def address(self, token: str = "lobby") -> str:  # noqa: S107 - no password
        """What a room's conversation is known by."""
        return self.url(token).partition("?")[0]


@contextmanager
def running_server(folder: Path, rooms: tuple[CommunityRoom, ...] = ROOMS) -> Iterator[Server]:
    """A server whose admin is whoever comes first."""
    community = CommunityOptions(rooms, first_is_admin=True)
    with Devnet(DevnetOptions(nodes=4, swarms=1, data_dir=folder / "data", community=community)) as net:
        net.write_definition(folder / "network.toml")
        yield Server(net, folder)


Join = Callable[..., Person]


def room(person: Person, which: str = "lobby") -> dict[str, Any]:
    """What `community show --json` shows."""
    (found,) = person.run("community", "show", which, "--json").objects
    return found


def room_addresses(person: Person) -> list[str]:
    """The rooms that `community list` knows."""
    return [found["id"] for found in person.run("community", "list", "--json").objects]


def staff(person: Person, which: str = "lobby") -> dict[str, str]:
    """Of each moderator and admin whom `community mods` shows, by id, the role."""
    return {found["id"]: found["role"] for found in person.run("community", "mods", which, "--json").objects}


def post(author: Person, reader: Person, body: str, which: str = "lobby") -> tuple[int, int, str]:
    """Have somebody write in a room, and another read it.

    Returns the message's id for the author, that for the reader, and the id by which the reader knows the author.
    """
    own = int(author.run("send", which, body).text)
    (found,) = [each for each in reader.receive() if each["type"] == "message" and each["body"] == body]
    return own, found["id"], found["sender"]["id"]
