"""Who is meant by `TO`."""

from __future__ import annotations

from contextlib import suppress

from ..errors import AmbiguousName, InvalidAccountId, InvalidInput, InvalidUrl
from ..protocol.account import AccountId, is_blinded, is_community, is_group, parse_account_id
from ..store.records import PersonRow
from .names import looks_like_id
from .profile import Profile

ID_DIGITS = 66
SHOWN_DIGITS = 16


def resolve(profile: Profile, text: str, *, to_write: bool = False) -> AccountId:
    """The account, group or room that `text` names: an id, the first 8 or more digits of a known one, `me`, or a name.

    A name that we gave comes before all names that people give themselves; these count only of people we have written
    to, and only where they can't be mistaken for an id. Rooms have short names, which never take what is meant for a
    person; the names that servers give them, and may change, are good for all but writing there (`to_write`). Raises
    InvalidAccountId if nobody is meant, AmbiguousName if several could be.
    """
    wanted = text.strip()
    if wanted == "me":
        return profile.identity.account_id
    if not wanted:
        raise InvalidAccountId("Nobody is named; give an account id (66 hex digits beginning with 05).")
    if is_community(wanted):
        return _only_room(wanted, rooms_called(profile, wanted))
    if looks_like_id(wanted):
        found = parse_address(wanted if len(wanted) == ID_DIGITS else _completed(profile, wanted))
        # Whoever is known by now is written to as everybody else.
        return AccountId(profile.store.communities.account_of(found) or found) if is_blinded(found) else found
    named = profile.store.people.by_nickname(wanted)
    if named is None and (rooms := rooms_called(profile, wanted)):
        people = [person for person in _called(profile, wanted) if person.approved]
        if people:
            raise AmbiguousName(
                f"{wanted!r} could be the room {rooms[0]}, where everybody reads it, or {_listed(people)}: use the "
                "address, or the id."
            )
        return _only_room(wanted, rooms)
    return parse_address(named or _by_own_name(profile, wanted, to_write=to_write))


def rooms_called(profile: Profile, text: str) -> list[str]:
    """The addresses of the rooms that we are in whose URL, address (also without http://) or short name this is."""
    wanted = text.partition("?")[0].rstrip("/").lower()
    if "/" in wanted:
        from ..protocol.community.urls import room_address

        with suppress(InvalidUrl):
            wanted = room_address(wanted)
    rooms = profile.store.communities.rooms()
    # A short name as it is written: a capital letter must not make a public room of a person.
    token = text.strip()
    return [
        room.address
        for room in rooms
        if wanted in (room.address, room.address.partition("://")[2]) or token in (room.token, room.token.lower())
    ]


def _only_room(text: str, found: list[str]) -> AccountId:
    if len(found) > 1:
        raise AmbiguousName(f"{text!r} could be any of these: {', '.join(found)}. Use the address.")
    if not found:
        raise InvalidAccountId("You have not joined this community; first: session community join URL")
    return AccountId(found[0])


def parse_address(text: str) -> AccountId:
    """The id of an account or a group, blinded ids and rooms included. Raises InvalidAccountId."""
    if is_community(text):
        return AccountId(text)
    if is_blinded(text):
        from ..protocol.blinding import parse_blinded_id

        try:
            return AccountId(parse_blinded_id(text))
        except InvalidInput as error:
            raise InvalidAccountId(error.message) from None
    if is_group(text):
        from ..protocol.group.identity import parse_group_id

        return parse_group_id(text)
    return parse_account_id(text)


def _completed(profile: Profile, digits: str) -> str:
    """The id of the only one whose id begins so; the digits themselves where there is none."""
    found = profile.store.people.beginning(digits.lower())
    if len(found) > 1:
        raise AmbiguousName(f"{digits!r} could be any of these: {_listed(found)}. Use more of the id.")
    return found[0].address if found else digits


def _by_own_name(profile: Profile, name: str, *, to_write: bool) -> str:
    """The id of the only one of those we wrote to who calls himself so, or of the only room that is called so."""
    called = _called(profile, name)
    # Somebody who was blocked was decided upon, too: nothing reaches him by mistake, but he can be let in again.
    found = [person for person in called if person.approved] or [person for person in called if person.blocked]
    if len(found) == 1:
        return found[0].address
    if found:
        # Only people can have a name of ours.
        named = not any(is_group(person.address) for person in found)
        advice = "Give the one you mean a name of your own: session contact rename ID NICKNAME"
        raise AmbiguousName(
            f"{name!r} could be any of these: {_listed(found)}. {advice if named else 'Use the beginning of the id.'}"
        )
    rooms = [room for room in profile.store.communities.rooms() if room.info.get("name") == name]
    if rooms and to_write and len(rooms) == 1:
        raise InvalidAccountId(
            f"A community is called {name!r} by its server, who may call any so. To write there, give its short name: "
            f"{rooms[0].token}"
        )
    if rooms:
        return _only_room(name, [room.address for room in rooms])
    if any(is_group(person.address) for person in called):
        raise InvalidAccountId(f"The group {name!r} invites you; to join it: session group accept")
    if called:
        ids = " or ".join(person.address[:SHOWN_DIGITS] for person in called[:3])
        raise InvalidAccountId(
            f"You never wrote to anybody by the name of {name!r}, nor approved one. Anybody can take a name; if it is "
            f"who you think, give the id: {ids}"
        )
    in_rooms = ", and you are in no community of that name (see session community list)"
    raise InvalidAccountId(
        f"Nobody you have named or written to is known as {name!r}"
        f"{in_rooms if profile.store.communities.any() else ''}; give an account id (66 hex digits beginning with 05)."
    )


def _called(profile: Profile, name: str) -> list[PersonRow]:
    """The people and groups that call themselves so."""
    return [person for person in profile.store.people.called(name) if not is_community(person.address)]


def _listed(people: list[PersonRow]) -> str:
    return ", ".join(f"{person.shown_name or '(no name)'} {person.address[:SHOWN_DIGITS]}…" for person in people)
