"""People in groups, as clients in this process, and what they see of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from session_cli.core.client import Client
from session_cli.core.groups.state import GroupState, GroupStore
from session_cli.devnet.faults import Fault
from session_cli.devnet.network import Devnet
from session_cli.protocol.account import Identity

Maker = Callable[..., Client]
Three = tuple[Client, Client, Client]


@contextmanager
def clients(definition: Path, folder: Path) -> Iterator[Maker]:
    """Makes clients with accounts on a network, or (`of`) other devices of them."""
    made: list[Client] = []

    def make(name: str, of: Client | None = None) -> Client:
        environ = {"SESSION_HOME": str(folder / name)}
        identity = Identity.from_seed(of.seed()) if of is not None else None
        client = Client.create(
            name=None if of else name, identity=identity, network=str(definition), environ=environ, timeout=60
        )
        made.append(client)
        return client

    try:
        yield make
    finally:
        for client in made:
            client.close()


@contextmanager
def stuck(net: Devnet, group_id: str, client: Client, fault: Fault) -> Iterator[None]:
    """The swarm of a group takes nothing that is done step by step, and the client has little patience."""
    client._timeout = 6.0
    try:
        with net.chaos.inject(fault, swarm=group_id, methods={"sequence"}) as struck:
            yield
        assert struck.hits
    finally:
        client._timeout = 60.0


def happened(client: Client) -> list[Any]:
    """What came in groups: texts of messages, and what notices say."""
    found: list[Any] = []
    for event in client.receive():
        if event.conversation is None or event.conversation.type != "group":
            continue
        match event.type:
            case "message":
                found.append(event.message.body if event.message else None)
            case "group_update":
                found.append(event.content["change"])
            case other:
                found.append(other)
    return found


def befriend(one: Client, other: Client) -> None:
    """Let each have written to the other, who has answered."""
    one.send(other.account_id, "hello")
    other.poll()
    other.send(one.account_id, "hello to you")
    one.poll()


def state_of(client: Client, group_id: str) -> GroupState:
    state = GroupStore(client._store, client.account_id).load(group_id)
    assert state
    return state


def statuses(client: Client, group_id: str) -> dict[str | None, str]:
    return {member.party.name: member.status for member in client.groups.members(group_id)}


def in_step(group_id: str, *clients: Client) -> None:
    """All of them hold the same keys and configs, and nothing is left to be done."""
    states = [state_of(client, group_id) for client in clients]
    assert len({state.keys.encryption_keys[0] for state in states}) == 1
    assert len({state.info.data.encode() for state in states}) == 1
    assert len({state.members.data.encode() for state in states}) == 1
    assert not any(client.groups.get(group_id).waiting for client in clients)


def make_group(alice: Client, *others: Client) -> str:
    """A group of Alice's that all the others have joined."""
    group = alice.groups.create("Friends", [other.account_id for other in others])
    for other in others:
        other.poll()
        if other.groups.get(group.id).state == "invited":
            other.groups.accept(group.id)
    for client in (alice, *others, alice):
        happened(client)
    return group.id
