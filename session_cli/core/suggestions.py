"""What a shell may suggest while a command is being typed: read from the store in no time and without asking anybody.

Whatever goes wrong, there is nothing to suggest; nothing is written, waited for or said.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from ..protocol.account import Identity, IdPrefix, is_community
from ..store.key import KeyMethod, describe_key, open_key
from ..store.records import MessageRow, PersonRow
from ..store.store import Store
from .addressing import ID_DIGITS
from .names import looks_like_id
from .profile import key_sources

MESSAGES = 20
_PREFIX = 10
"""Digits of an id, where those tell it from all others."""
_BUSY_S = 0.2


@dataclass(frozen=True, slots=True)
class Suggestion:
    """What could be typed, and a few words about it that others may have chosen."""

    value: str
    help: str


@contextmanager
def _peek(environ: Mapping[str, str], profile: str) -> Iterator[Store | None]:
    """The store, opened to be read; None where somebody or something would have to be asked for its key."""
    sources = key_sources(environ, profile, None)
    folder = sources.locations.profile_dir(profile)
    # A keyring or a command can take long, or put a window on the screen; a passphrase costs half a second.
    if describe_key(folder).method is not KeyMethod.KEYFILE:
        yield None
        return
    store = Store.open_read_only(folder, open_key(folder, secrets=sources), busy_timeout_s=_BUSY_S)
    try:
        yield store
    finally:
        store.close()


def suggest_recipients(typed: str, profile: str, environ: Mapping[str, str] = os.environ) -> list[Suggestion]:
    """What `resolve` takes for somebody we know: `me`, names, and of the others the beginnings of their ids.

    With the beginning of an id typed, ids alone. Rooms have their short names, or else their addresses; those whom we
    only know from rooms are left out, of whom there can be thousands.
    """
    by_id = typed[:1].isdigit()
    found = [] if by_id else [Suggestion("me", "note to self")]
    people: list[PersonRow] = []
    with suppress(Exception), _peek(environ, profile) as store:
        if store is not None:
            own = Identity.from_seed(store.settings.get("seed")).account_id
            people = [person for person in store.people.known() if person.address != own and _is_offered(person)]
    # A name of our own hides those that others give themselves.
    own_names = Counter(person.name for person in people if person.approved)
    own_names.update({person.nickname: 2 for person in people})
    rooms = [person for person in people if is_community(person.address)]
    found += [] if by_id else _rooms(rooms, typed, {name for name in own_names if name is not None})
    people = [person for person in people if not is_community(person.address)]
    addresses = [person.address for person in people]
    for person in people:
        unique = person.nickname or (person.name if person.approved and own_names[person.name] == 1 else None)
        if unique is not None and _can_be_typed(unique) and not by_id:
            found.append(Suggestion(unique, f"{person.address[:_PREFIX]}…"))
        else:
            found.append(Suggestion(_shortened(person.address, typed, addresses), person.shown_name or ""))
    return [suggestion for suggestion in found if suggestion.value.startswith(typed)]


def _is_offered(person: PersonRow) -> bool:
    needs_approval = is_community(person.address) or person.address.startswith((IdPrefix.BLINDED15, IdPrefix.BLINDED25))
    return person.approved or not needs_approval


def suggest_rooms(typed: str, profile: str, environ: Mapping[str, str] = os.environ) -> list[Suggestion]:
    """What `Communities.resolve` takes for a room: short names, and of the others the addresses."""
    rows: list[PersonRow] = []
    with suppress(Exception), _peek(environ, profile) as store:
        if store is not None:
            rows = [row for row in store.people.known() if is_community(row.address) and row.approved]
    return [suggestion for suggestion in _rooms(rows, typed, set()) if suggestion.value.startswith(typed)]


def _rooms(rows: list[PersonRow], typed: str, taken: Collection[str]) -> list[Suggestion]:
    """Rooms by the ends of their addresses, which are their short names, unless these are `taken`, or typed past."""
    tokens = Counter(row.address.rpartition("/")[2] for row in rows)
    found = []
    for row in rows:
        token = row.address.rpartition("/")[2]
        if tokens[token] == 1 and token not in taken and not looks_like_id(token) and not typed.startswith("http"):
            found.append(Suggestion(token, row.name or row.address))
        else:
            found.append(Suggestion(row.address, row.name or ""))
    return found


def suggest_groups(typed: str, profile: str, environ: Mapping[str, str] = os.environ) -> list[Suggestion]:
    """What `Groups.resolve` takes for a group: names, and of the others the beginnings of their ids."""
    rows: list[PersonRow] = []
    with suppress(Exception), _peek(environ, profile) as store:
        if store is not None:
            groups = {group.address for group in store.groups.all()}
            rows = [row for row in store.people.known() if row.address in groups]
    names, addresses = Counter(row.name for row in rows), [row.address for row in rows]
    found = []
    for row in rows:
        if row.name and names[row.name] == 1 and _can_be_typed(row.name) and not typed[:1].isdigit():
            found.append(Suggestion(row.name, f"{row.address[:_PREFIX]}…"))
        else:
            found.append(Suggestion(_shortened(row.address, typed, addresses), row.name or ""))
    return [suggestion for suggestion in found if suggestion.value.startswith(typed)]


def _can_be_typed(name: str) -> bool:
    """Whether a name can stand on a command line, and means its owner there."""
    typable = name.isprintable() and name == name.strip() and not name.startswith("-")
    return typable and name != "me" and not looks_like_id(name)


def _shortened(address: str, typed: str, addresses: list[str]) -> str:
    """As much of an id as tells it from the others; all of it once that is typed, and of an address always."""
    if is_community(address):
        return address
    length = _PREFIX
    while length < ID_DIGITS and sum(other.startswith(address[:length]) for other in addresses) > 1:
        length += 1
    return address if len(typed) >= length else address[:length]


def suggest_messages(
    profile: str, environ: Mapping[str, str] = os.environ, *, with_attachments: bool = False
) -> list[Suggestion]:
    """The ids of the latest messages, newest first, with their beginnings; perhaps only of those with attachments."""
    rows: list[MessageRow] = []
    with suppress(Exception), _peek(environ, profile) as store:
        if store is not None:
            rows = store.messages.latest(MESSAGES, with_attachments=with_attachments)
    return [
        Suggestion(
            str(row.id),
            f"{'me' if row.direction == 'outgoing' else row.sender_name or row.sender[:_PREFIX] + '…'}: "
            + (row.body or ", ".join(file.name or file.content_type for file in row.attachments)),
        )
        for row in rows
    ]
