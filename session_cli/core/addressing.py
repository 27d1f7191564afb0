"""Who is meant by `TO`."""

from __future__ import annotations

import re

from ..errors import InvalidAccountId, UsageError
from ..protocol.account import AccountId, parse_account_id
from .profile import Profile

MIN_PREFIX = 8
ID_DIGITS = 66
SHOWN_DIGITS = 16


def resolve(profile: Profile, text: str) -> AccountId:
    """The account that `text` names: a whole id, the first 8 or more digits of a known one, `me`, or a name.

    Names count only of people we have written to, and only where they can't be mistaken for an id. Raises
    InvalidAccountId if nobody is meant, UsageError if several could be.
    """
    wanted = text.strip()
    if wanted == "me":
        return profile.identity.account_id
    if not wanted:
        raise InvalidAccountId("Nobody is named; give an account id (66 hex digits beginning with 05).")
    looks_like_id = len(wanted) >= MIN_PREFIX and re.fullmatch(r"[0-9a-fA-F]+", wanted) is not None
    if looks_like_id and len(wanted) == ID_DIGITS:
        return parse_account_id(wanted)
    found = [
        (address, name)
        for address, name in profile.store.people.find(wanted)
        if (address.startswith(wanted.lower()) if looks_like_id else name == wanted)
    ]
    if len(found) == 1:
        return parse_account_id(found[0][0])
    if found:
        listed = ", ".join(f"{name or '(no name)'} {address[:SHOWN_DIGITS]}…" for address, name in found)
        raise UsageError(f"{wanted!r} could be any of these: {listed}. Use more of the id.")
    if looks_like_id:
        return parse_account_id(wanted)
    strangers = profile.store.people.strangers(wanted)
    if strangers:
        ids = " or ".join(address[:SHOWN_DIGITS] for address in strangers)
        raise InvalidAccountId(
            f"Somebody by the name of {wanted!r} has written to you, and was never answered. Anybody can take a name; "
            f"if it is who you think, give the id: {ids}"
        )
    raise InvalidAccountId(
        f"Nobody you have written to is known as {wanted!r}; give an account id (66 hex digits beginning with 05)."
    )
