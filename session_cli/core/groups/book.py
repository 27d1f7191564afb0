"""The groups of one account, as they are known here."""

from __future__ import annotations

from collections.abc import Sequence

from ...errors import (
    AmbiguousName,
    InvalidAccountId,
    InvalidInput,
)
from ...protocol.account import AccountId
from ...protocol.config.group_members import Member
from ...store.groups import DESTROYED, KICKED, GroupRow
from ..addressing import SHOWN_DIGITS
from ..conversation_state import state_of
from ..model import Group, GroupMember, Party, Viewer
from ..names import looks_like_id
from ..profile import Profile
from .running import OFFERS
from .state import GroupState, GroupStore


class GroupBook:
    """Looks up groups. Offline."""

    def __init__(self, profile: Profile) -> None:
        self._profile = profile
        self._store = profile.store
        self._own_id = profile.identity.account_id
        self._states = GroupStore(profile.store, profile.identity.account_id)

    def all(self) -> list[Group]:
        """Every group, by name: those that invite us, and those that we were removed from, included. Offline."""
        groups = [self._group(self._states.of_row(row)) for row in self._store.groups.all()]
        return sorted(groups, key=lambda group: (group.name is None, group.name or "", group.id))

    def resolve(self, who: str) -> AccountId:
        """The id of the group meant. Offline."""
        wanted = who.strip()
        rows = self._store.groups.all()
        if looks_like_id(wanted):
            found = [row.address for row in rows if row.address.startswith(wanted.lower())]
        else:
            found = [row.address for row in rows if self._name(row.address) == wanted]
        if len(found) == 1:
            return AccountId(found[0])
        if found:
            listed = ", ".join(f"{self._name(each) or '(no name)'} {each[:SHOWN_DIGITS]}…" for each in found)
            raise AmbiguousName(f"{wanted!r} could be any of these: {listed}. Use more of the id.")
        raise InvalidAccountId(f"You are in no group {wanted!r}, and none invites you; see session group list.")

    def get(self, who: str) -> Group:
        """A group. Offline."""
        return self._group(self._load(self.resolve(who)))

    def members(self, who: str) -> list[GroupMember]:
        """Its members, admins first, then by name. Offline."""
        state = self._load(self.resolve(who))
        found = [self._member(state, member) for member in state.members]
        return sorted(
            found, key=lambda one: (not one.admin, one.party.name is None, one.party.name or "", one.party.id)
        )

    def _name(self, address: str) -> str | None:
        person = self._store.people.get(address)
        return person.name if person else None

    def _load(self, group_id: str) -> GroupState:
        state = self._states.load(group_id)
        if state is None:
            raise InvalidAccountId(f"You are in no group {group_id[:10]}… any more.")
        return state

    def _group(self, state: GroupState) -> Group:
        row, info, settings = state.row, state.info, self._store.configs.conversation(state.group_id)
        shown = state_of(settings, self._store.now_ms())
        inviter = self._store.people.get(row.inviter) if row.inviter else None
        errands = bool(self._store.groups.errands(state.group_id))
        return Group(
            id=state.group_id,
            name=self._name(state.group_id),
            description=info.description or None,
            state=_state_of(row),
            members=len(state.members.ids),
            created_ms=1000 * info.created if info.created else None,
            joined_ms=1000 * row.joined_s if row.joined_s else None,
            timer_s=info.timer,
            picture=info.picture is not None,
            inviter=Party(row.inviter, inviter.shown_name if inviter else None) if row.inviter else None,
            waiting=errands or (state.admin is not None and state.needs_push),
            pinned=shown.pinned,
            muted=shown.muted,
            muted_until_ms=shown.muted_until_ms,
            hidden=shown.hidden,
        )

    def _member(self, state: GroupState, member: Member) -> GroupMember:
        person = self._store.people.get(member.account_id)
        name = (person.shown_name if person else None) or member.name or None
        viewer = Viewer(self._own_id, self._store.settings.get("display_name"), self._store.now_ms())
        status = member.status.value
        errands = {errand.member for errand in self._store.groups.errands(state.group_id, *OFFERS)}
        if member.account_id in errands and not member.removal:
            status = "sending"
        elif status.endswith("_unknown"):
            status = "unknown"
        return GroupMember(viewer.party(member.account_id, name), status, member.admin)

    def _some_members(self, state: GroupState, wanted: Sequence[AccountId]) -> list[GroupMember]:
        members = [state.member(account_id) for account_id in wanted]
        return [self._member(state, member) for member in members if member is not None]

    def _check_in(self, row: GroupRow) -> None:
        """Raise InvalidInput for a group that we are not in."""
        if row.invited:
            raise InvalidInput(f"You have not joined this group yet: session group accept {row.address[:10]}")
        if row.removed:
            how = "You were removed from this group" if row.removed == KICKED else "This group does not exist any more"
            raise InvalidInput(f"{how}; to forget it: session group delete {row.address[:10]}")


def _state_of(row: GroupRow) -> str:
    if row.removed:
        return "destroyed" if row.removed == DESTROYED else "kicked"
    if row.invited:
        return "invited"
    return "admin" if row.seed is not None else "member"
