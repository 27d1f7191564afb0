"""The groups of one account, for those who script against them."""

from __future__ import annotations

import logging

from ...errors import (
    InvalidInput,
    ServiceRefused,
)
from ...network.clock import Deadline
from ...protocol.config.group_members import MemberStatus
from ...protocol.payload import (
    GroupLeftNotice,
    GroupMemberLeft,
)
from ..model import Group
from ..sealing import expiration_of
from .administration import GroupAdministration
from .membership import Membership
from .state import GroupState

LOG = logging.getLogger(__name__)


class Groups(GroupAdministration):
    """The groups of one account. A group is named by its id, the beginning of one, or its name.

    Whatever changes a group asks its swarm first what is new there. Everything raises InvalidInput for what can't be,
    InvalidAccountId and AmbiguousName for groups and people that can't be told, NotAdmin where only an admin may do
    that, NetworkError and ServiceRefused. Where the network fails half way, what was decided is noted, and a later run
    brings it to the group.
    """

    def accept(self, who: str) -> Group:
        """Join a group that invites us."""
        group_id = self.resolve(who)
        row = self._load(group_id).row
        if not row.invited:
            raise InvalidInput("This group does not wait for an answer of yours.")
        deadline = Deadline(self._timeout)
        with self._exclusively(deadline):
            with self._store.transaction():
                Membership(self._store, self._profile.identity).accept(self._load(group_id).row)
            self._receiver.poll(deadline, [group_id])
            if group_id in self._receiver.complete:
                self.keeper.settle(group_id, deadline)
        return self.get(group_id)

    def decline(self, who: str) -> Group:
        """Don't join a group that invites us; nobody is told. Returns it as it was. Offline."""
        group = self.get(who)
        if group.state != "invited":
            raise InvalidInput("This group does not wait for an answer of yours.")
        return self._forget(group)

    def leave(self, who: str) -> Group:
        """Leave a group, and forget it, on all our devices. Returns it as it was. Its only admin can't."""
        group_id = self.resolve(who)
        self._check_in(self._load(group_id).row)
        deadline = Deadline(self._timeout)
        with self._exclusively(deadline):
            try:
                self._receiver.poll(deadline, [group_id])
            except ServiceRefused as error:
                LOG.info("what is new in the group can't be fetched: %s", error.message)
            state = self._load(group_id)
            group = self._group(state)
            if state.row.is_active and state.keys.keys:
                others = [member for member in state.members if member.account_id != self._own_id]
                if state.admin is not None and not any(member.status is MemberStatus.ADMIN for member in others):
                    raise InvalidInput(
                        "You are the only admin. Make somebody else one first: session group promote; or end the group "
                        "for everyone: session group delete"
                    )
                self._say_goodbye(state, deadline)
            return self._forget(group)

    def _say_goodbye(self, state: GroupState, deadline: Deadline) -> None:
        rule = expiration_of(*self._store.conversations.expiration(state.group_id))
        sender = self._sender()
        try:
            sender.transmit(GroupLeftNotice(), [state.group_id], deadline, expiration=rule)
            sender.transmit(GroupMemberLeft(), [state.group_id], deadline)
        except ServiceRefused as error:
            # Whoever was removed already can't say it any more, and need not.
            LOG.info("nobody is told that we leave: %s", error.message)

    def delete(self, who: str) -> Group:
        """End a group for everyone, as an admin; forget one that we are not in. Returns it as it was."""
        group_id = self.resolve(who)
        state = self._load(group_id)
        group = self._group(state)
        if state.row.invited or state.row.removed:
            return self._forget(group)
        self._admin_of(state)
        deadline = Deadline(self._timeout)
        with self._exclusively(deadline):
            self._fetch(group_id, deadline)
            state = self._load(group_id)
            if not state.row.is_active:
                return self._forget(group)
            with self._store.transaction():
                self._states.save(state.with_info(state.info.destroyed()))
            self.keeper.settle(group_id, deadline)
        return group

    def _forget(self, group: Group) -> Group:
        with self._store.transaction():
            row = self._store.groups.get(group.id)
            if row is not None:
                Membership(self._store, self._profile.identity).forget(row)
        return group
