"""Taking in, changing and pushing the config of an account with 500 contacts, against the bare libraries below.

The base is what no implementation can leave out: opening and unwrapping the message, or closing and wrapping it, and
the compression.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from random import Random

from session_cli.protocol.account import AccountId, Identity
from session_cli.protocol.config import message as messages
from session_cli.protocol.config import sealing, wrapping
from session_cli.protocol.config.contacts import Contact, Contacts
from session_cli.protocol.config.dump import dump, load
from session_cli.protocol.config.fields import Picture
from session_cli.protocol.config.kinds import ConfigKind
from session_cli.protocol.config.state import ConfigKeys, ConfigState

from .measuring import ratio

CONTACTS = 500
KIND = ConfigKind.CONTACTS
NOW_MS = 1_795_000_000_000
NOW_S = NOW_MS // 1000


def measure() -> Iterator[str]:
    """Merges into an empty config, pushes of one change, conflicts of two devices, dumps and loads."""
    identity = Identity.from_seed(bytes(range(16)))
    keys = ConfigKeys.of_account(identity)
    people = list(_people())
    pushed = ConfigState(KIND).with_data(_with(Contacts(), people).data).push(keys, NOW_MS)
    stored, sizes = list(enumerate(pushed.messages)), [len(message) for message in pushed.messages]
    named = [(f"h{number}", message) for number, message in stored]
    state = pushed.state.confirm_pushed(pushed.seqno, [name for name, _ in named])

    def merge() -> ConfigState:
        return ConfigState(KIND).merge(named, keys, NOW_MS).state

    def rename(name: str) -> ConfigState:
        return state.with_data(Contacts(state.data).with_contact(replace(people[250], name=name)).data)

    def conflict() -> ConfigState:
        return one.merge([("other", other)], keys, NOW_MS).state

    if merge() != replace(state, parts=merge().parts):
        raise RuntimeError("the merged config is not what was pushed")
    opening = _best(lambda: [_open(identity, message) for _, message in stored])
    closing = _best(lambda: _close(identity, state))
    one, other = rename("One").push(keys, NOW_MS).state, rename("Other").push(keys, NOW_MS).messages[0]
    kept = dump(state)
    for name, action, base, limit in (
        ("merge into an empty config", merge, opening, "20"),
        ("change one contact and push", lambda: rename("Robert").push(keys, NOW_MS), closing, "4"),
        ("merge a conflict", conflict, opening, "60"),
        ("dump", lambda: dump(state), closing, "2"),
        ("load", lambda: load(KIND, kept), opening, "20"),
    ):
        taken = _best(action)
        yield f"{ratio(name, taken, base, limit)}   {1 / taken:7.0f} a second"
    yield f"{CONTACTS} contacts are {len(messages.serialize(_written(state))):,} bytes, stored as {sizes}"


def _people() -> Iterator[Contact]:
    random = Random(1)
    for number in range(CONTACTS):
        yield Contact(
            AccountId("05" + random.randbytes(32).hex()),
            name=f"Person number {number}",
            nickname=f"Nick {number}" if number % 5 == 0 else "",
            picture=Picture(f"http://filev2.getsession.org/file/{number}", random.randbytes(32)),
            profile_updated=NOW_S - number,
            approved=True,
            approved_me=number % 7 != 0,
            created=NOW_S - 1000 * number,
        )


def _with(view: Contacts, people: list[Contact]) -> Contacts:
    for contact in people:
        view = view.with_contact(contact)
    return view


def _written(state: ConfigState) -> messages.ConfigMessage:
    if isinstance(state.message, messages.Draft):
        raise TypeError("the state has changes")
    return state.message


def _open(identity: Identity, stored: bytes) -> bytes:
    encrypted = wrapping.unwrap(identity, KIND, stored)
    return sealing.decompress(sealing.unpad(sealing.decrypt(encrypted, identity.seed, KIND.domain)))


def _close(identity: Identity, state: ConfigState) -> bytes:
    payload = sealing.pad(sealing.compress(messages.serialize(_written(state))))
    return wrapping.wrap(identity, KIND, state.seqno, sealing.encrypt(payload, identity.seed, KIND.domain))


def _best(action: Callable[[], object], times: int = 20) -> float:
    """The least seconds of several runs."""
    taken = []
    for _ in range(times):
        started = time.perf_counter()
        action()
        taken.append(time.perf_counter() - started)
    return min(taken)
