"""Who is meant by `TO`."""

from __future__ import annotations

import re

from ..errors import InvalidAccountId, UsageError
from ..protocol.account import AccountId, parse_account_id
from .profile import Profile

MIN_PREFIX = 8


def resolve(profile: Profile, text: str) -> AccountId:
    """The account that `text` names: a whole id, `me`, a person's name, or the first 8 or more digits of a known id.

    Raises InvalidAccountId for something that is none of these, UsageError if several people fit.
    """
    wanted = text.strip()
    if wanted == "me":
        return profile.identity.account_id
    looks_like_id = re.fullmatch(r"[0-9a-fA-F]+", wanted) is not None
    if looks_like_id and len(wanted) == 66:
        return parse_account_id(wanted)
    found = profile.store.people.find(wanted) if wanted else []
    if not (looks_like_id and len(wanted) >= MIN_PREFIX):
        found = [(address, name) for address, name in found if name == wanted]
    if len(found) == 1:
        return parse_account_id(found[0][0])
    if found:
        listed = ", ".join(f"{name or '(no name)'} {address[:12]}…" for address, name in found)
        raise UsageError(f"{wanted!r} could be any of these: {listed}. Use more of the id.")
    if looks_like_id or not wanted:
        return parse_account_id(wanted)
    raise InvalidAccountId(f"Nobody is known as {wanted!r}; give an account id (66 hex digits beginning with 05).")
