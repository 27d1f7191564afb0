"""What is said in a group about the group itself: as an entry of the conversation, and as the message that tells it.

An entry of kind `group_update` has `change`, and by that:

    invited {name}, joined, left {members}, kicked, destroyed, description {text}
    added {members, history}, removed {members}, promoted {members}, renamed {name}, picture

`members` is a list of {id, name}. The timer is an `expiration_update`, as in other conversations.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ...errors import NotAdmin
from ...protocol.account import AccountId
from ...protocol.group import updates
from ...protocol.group.identity import GroupIdentity
from ...protocol.payload import (
    GroupInfoChange,
    GroupInfoKind,
    GroupLeftNotice,
    GroupMemberChange,
    GroupMemberKind,
    Payload,
)
from ...store.store import Store

Notice = Mapping[str, Any]
_MEMBER_CHANGES = {
    GroupMemberKind.ADDED: "added",
    GroupMemberKind.REMOVED: "removed",
    GroupMemberKind.PROMOTED: "promoted",
}
_KINDS = {change: kind for kind, change in _MEMBER_CHANGES.items()}


def named(store: Store, people: Iterable[str]) -> list[dict[str, Any]]:
    """People with the names that we know them by now."""
    found = []
    for address in people:
        person = store.people.get(address)
        found.append({"id": address, "name": person.shown_name if person else None})
    return found


def member_notice(store: Store, kind: GroupMemberKind, people: Iterable[str], *, history: bool = False) -> Notice:
    """What is said of members that were added, removed or promoted."""
    return {"change": _MEMBER_CHANGES[kind], "members": named(store, people), "history": history}


def notice_of(store: Store, change: GroupMemberChange | GroupInfoChange) -> Notice | None:
    """What is said of a change that somebody told; None for the timer, which is an entry of another kind."""
    if isinstance(change, GroupMemberChange):
        return member_notice(store, change.kind, change.members, history=change.history_shared)
    match change.kind:
        case GroupInfoKind.NAME:
            return {"change": "renamed", "name": change.name or None}
        case GroupInfoKind.PICTURE:
            return {"change": "picture"}
        case GroupInfoKind.TIMER:
            return None


def payload_of_notice(notice: Notice, admin: GroupIdentity | None, sent_ms: int) -> Payload:
    """What tells others what an entry of ours says. Raises NotAdmin where only an admin can."""
    change = notice["change"]
    if change == "left":
        return GroupLeftNotice()
    if admin is None:
        raise NotAdmin("You are no admin of this group any more.")
    if change == "renamed":
        return updates.name_change(admin, notice["name"] or "", sent_ms)
    if change == "picture":
        return updates.picture_change(admin, sent_ms)
    members = [AccountId(member["id"]) for member in notice["members"]]
    return updates.member_change(admin, _KINDS[change], members, sent_ms, history_shared=notice["history"])
