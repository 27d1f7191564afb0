"""To whom we may write."""

from __future__ import annotations

from ..errors import InvalidAccountId, InvalidInput, NoPermission
from ..protocol.account import AccountId, is_blinded, is_community, is_group
from ..store.records import MessageRow
from ..store.store import Store


def check_recipient(store: Store, recipient: AccountId, quoted: MessageRow | None) -> None:
    """See that we may write to somebody, and answer this message there.

    Raises InvalidInput for who is blocked, a group that we are not in, and a quoted message that the recipient could
    not know of; InvalidAccountId and NoPermission for whom we can't, or may not, write to in communities.
    """
    if is_group(recipient):
        _check_group(store, recipient)
    if is_community(recipient) and store.communities.room(recipient) is None:
        raise InvalidAccountId(f"You have not joined the community {recipient}.")
    if is_blinded(recipient) and store.communities.server_of(recipient) is None:
        raise InvalidAccountId("Nobody with this id has written in a community of yours, so it is not known where.")
    if is_blinded(recipient) and store.communities.is_hermit(recipient):
        raise NoPermission(f"{recipient[:10]}… wants no messages from people who know them from communities alone.")
    person = store.people.get(recipient)
    who = _shown(recipient)
    if person is not None and person.blocked:
        raise InvalidInput(
            f"{who} is blocked, and no answer would reach you; first: session contact unblock {recipient[:10]}"
        )
    if quoted is None:
        return
    if quoted.conversation != recipient:
        raise InvalidInput(
            f"Message {quoted.id} is of the conversation with {_shown(quoted.conversation)}; {who} does not know it, "
            "and can't be shown it with --quote."
        )
    if quoted.deleted:
        raise InvalidInput(f"Message {quoted.id} is deleted; there is nothing left to answer with --quote.")
    if quoted.kind != "message":
        raise InvalidInput(f"{quoted.id} is a notice, and no message that could be answered with --quote.")


def _check_group(store: Store, group_id: AccountId) -> None:
    row = store.groups.get(group_id)
    which = group_id[:10]
    if row is None:
        raise InvalidInput(f"You are not in the group {which}….")
    if row.invited:
        raise InvalidInput(f"You have not joined this group yet: session group accept {which}")
    if row.removed:
        raise InvalidInput(f"You are not in this group any more; to forget it: session group delete {which}")


def _shown(address: str) -> str:
    """Enough of an address to know which one is meant."""
    return address.partition("://")[2] if is_community(address) else f"{address[:10]}…"
