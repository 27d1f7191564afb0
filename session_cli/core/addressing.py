"""Who is meant by `TO`."""

from __future__ import annotations

from ..errors import AmbiguousName, InvalidAccountId
from ..protocol.account import AccountId, is_blinded, is_community, is_group, parse_account_id
from ..store.records import PersonRow
from .names import looks_like_id
from .profile import Profile

ID_DIGITS = 66
SHOWN_DIGITS = 16


def resolve(profile: Profile, text: str) -> AccountId:
    """The account, group or room that `text` names: a whole id, the first 8 or more digits of a known one, `me`, or a name.

    A name that we gave comes before all names that people give themselves; these count only of people we have written
    to, and only where they can't be mistaken for an id. Raises InvalidAccountId if nobody is meant, AmbiguousName if
    several could be.
    """
    wanted = text.strip()
    if wanted == "me":
        return profile.identity.account_id
    if not wanted:
        raise InvalidAccountId("Nobody is named; give an account id (66 hex digits beginning with 05).")
    if is_community(wanted) or profile.store.communities.by_token(wanted):
        return AccountId(_room(profile, wanted))
    if looks_like_id(wanted):
        found = parse_address(wanted if len(wanted) == ID_DIGITS else _completed(profile, wanted))
        # Whoever is known by now is written to as everybody else.
        return AccountId(profile.store.communities.account_of(found) or found) if is_blinded(found) else found
    return parse_address(profile.store.people.by_nickname(wanted) or _by_own_name(profile, wanted))


def _room(profile: Profile, text: str) -> str:
    """The address of a room that we have joined, by its URL, its address or its short name."""
    rooms = profile.store.communities.rooms()
    wanted = text.partition("?")[0].rstrip("/").lower()
    found = [room.address for room in rooms if wanted in (room.address, room.token.lower())]
    if len(found) > 1:
        raise AmbiguousName(f"{text!r} could be any of these: {', '.join(found)}. Use the address.")
    if not found:
        raise InvalidAccountId("You have not joined this community; first: session community join URL")
    return found[0]


def parse_address(text: str) -> AccountId:
    """The id of an account or a group, blinded ids and rooms included. Raises InvalidAccountId."""
    if is_community(text):
        return AccountId(text)
    if is_blinded(text):
        from ..protocol.blinding import parse_blinded_id

        return AccountId(parse_blinded_id(text))
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


def _by_own_name(profile: Profile, name: str) -> str:
    """The id of the only one of those we wrote to who calls himself so."""
    called = profile.store.people.called(name)
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
    if any(is_group(person.address) for person in called):
        raise InvalidAccountId(f"The group {name!r} invites you; to join it: session group accept")
    if called:
        ids = " or ".join(person.address[:SHOWN_DIGITS] for person in called[:3])
        raise InvalidAccountId(
            f"You never wrote to anybody by the name of {name!r}, nor approved one. Anybody can take a name; if it is "
            f"who you think, give the id: {ids}"
        )
    raise InvalidAccountId(
        f"Nobody you have named or written to is known as {name!r}; give an account id (66 hex digits beginning with "
        "05)."
    )


def _listed(people: list[PersonRow]) -> str:
    return ", ".join(f"{person.shown_name or '(no name)'} {person.address[:SHOWN_DIGITS]}…" for person in people)
