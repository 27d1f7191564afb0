"""What people tell us of themselves."""

from __future__ import annotations

from ..protocol.account import AccountId
from ..protocol.payload import Profile
from ..store.store import Store


def learn_profile(
    store: Store,
    sender: AccountId,
    profile: Profile | None,
    sent_ms: int,
    outgoing: bool,
    *,
    keep_picture: bool = False,
) -> None:
    """Take over what somebody else says of himself, if it is not older than what is known; note the change as an event.

    Name and picture go together: no picture means that there is none, unless `keep_picture` is set. Our own profile is
    not learnt from messages. To be called inside a transaction.
    """
    if profile is None or outgoing or not (profile.name or profile.picture_url):
        return
    before = store.people.get(sender)
    name = profile.name or (before.name if before else None)
    if not store.people.set_name(sender, name, profile.updated_s):
        return
    if profile.picture_url or not keep_picture:
        store.people.set_picture(sender, profile.picture_url, profile.picture_key)
    after = store.people.get(sender)
    if before is None or before.name is None or not before.approved or after is None:
        return
    if (before.name, before.picture_url) != (after.name, after.picture_url):
        store.events.add_detail(
            "profile",
            conversation=sender,
            sender=sender,
            sent_ms=sent_ms,
            content={"name": after.name, "previous_name": before.name, "picture": after.picture_url is not None},
        )
