"""Running a group as an admin: what was decided is in the store, and is brought to the group's swarm from there.

`settle` does whatever is left, in the order that keeps the others from ever meeting what they can't read, or what they
must not: keys before the configs that they open, the notice to who is removed before the key that he does not get. Each
step may be done twice, by another run of ours or by another admin; what one dies over, the next one does.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from ...errors import InvalidInput, ServiceRefused, SessionError
from ...network.clock import Deadline
from ...network.swarm_steps import Delete, DeleteAll, OwnStore, Revoke, Step, Unrevoke
from ...protocol.account import AccountId
from ...protocol.config import dump as config_dumps
from ...protocol.config.group_members import Member, Offer, Removal
from ...protocol.config.kinds import TTL_MS
from ...protocol.config.state import Push
from ...protocol.group import subaccount, updates
from ...protocol.group.identity import GroupIdentity
from ...protocol.group.kick import kick_notice
from ...protocol.payload import Content, GroupInviteResponse, Payload
from ...protocol.storage_rpc import MAX_BATCH, MAX_TTL_MS, MessageHash, Namespace, message_hash
from ...protocol.storage_upkeep import MOST_HASHES, MOST_REVOKED
from ...store.groups import Errand
from ..profile import Profile
from ..sending import Sender
from .membership import Membership
from .state import KINDS, GroupState, GroupStore

if TYPE_CHECKING:
    from ...network.network import Network
    from ..attachments import ProgressReport

LOG = logging.getLogger(__name__)
MOST_TURNS = 6
"""How often `settle` begins anew: what it does may leave something else to be done."""
AT_ONCE = 24
"""Invitations that are sent at the same time."""
IN_PASSING_S = 30.0
"""How long another command takes at the most for what is due in a group."""
LEAVING_MS = 10
"""How far apart the two messages are by which somebody says that he leaves; either may be the later."""
OFFERS = ("invite", "promote")
"""The kinds of errands that tell somebody something."""


class GroupKeeper:
    """Brings what was decided of the groups of one profile to where it belongs."""

    def __init__(self, profile: Profile, network: Callable[[], Network], sender: Callable[[], Sender]) -> None:
        self._profile = profile
        self._store = profile.store
        self._identity = profile.identity
        self._network = network
        self._sender = sender
        self._groups = GroupStore(profile.store, profile.identity.account_id)

    def settle_in_passing(self, polled: Collection[str], deadline: Deadline) -> None:
        """Do all that is due in groups of which all that there is was fetched just now; failures wait for a later run.

        What was decided here may be overtaken by what another admin did: so nothing is done for the other groups.
        """
        for group_id in self._store.groups.due():
            if group_id not in polled:
                continue
            try:
                self.settle(group_id, deadline.within(IN_PASSING_S))
            except SessionError as error:
                LOG.info("group %s… is seen to later: %s", group_id[:10], error.message)

    def push(self, group_id: str, deadline: Deadline) -> None:
        """Bring a group's keys and configs to its swarm. Raises NetworkError, ServiceRefused."""
        state = self._groups.load(group_id)
        if state is None or state.admin is None or not state.needs_push:
            return
        self._network().prepare(deadline)
        self._push(state, state.admin, deadline)

    def settle(self, group_id: str, deadline: Deadline, progress: ProgressReport | None = None) -> None:
        """Do all that is due for a group, of which all that there is was fetched just now.

        Invitations and promotions that can't be sent are noted as failed. Raises NetworkError, ServiceRefused; then a
        later run goes on.
        """
        for _ in range(MOST_TURNS):
            state = self._groups.load(group_id)
            if state is None or not state.row.is_active:
                return
            if not (state.is_due(self._identity.account_id) or self._store.groups.errands(group_id)):
                return
            self._network().prepare(deadline)
            if state.admin is None:
                self._respond(state, deadline)
                return
            self._run(state, state.admin, deadline, progress)

    def _run(
        self, state: GroupState, admin: GroupIdentity, deadline: Deadline, progress: ProgressReport | None
    ) -> None:
        """The next thing to be done."""
        with self._store.transaction():
            self._drop_overtaken(state)
            changed = self._without_leavers(state).as_admin(self._identity.account_id)
            if changed is not state:
                state = self._groups.save(changed)
        leaving = [member for member in state.members if member.removal]
        if (state.needs_push or self._store.groups.errands(state.group_id, "admit")) and not (
            leaving and state.keys.pending is not None
        ):
            self._push(state, admin, deadline)
        elif state.info.is_destroyed:
            self._end(state, admin, deadline)
        elif leaving:
            self._lock_out(state, admin, leaving, deadline)
        elif errands := self._store.groups.errands(state.group_id, *OFFERS):
            self._offer(state, admin, errands, deadline, progress)
        else:
            self._delete(state, admin, deadline)

    def _drop_overtaken(self, state: GroupState) -> None:
        """Forget what we have taken upon ourselves for people of whom something else was decided since.

        Whoever was removed must not be let in again, and must not be made an admin.
        """
        for errand in self._store.groups.errands(state.group_id, *OFFERS, "admit", "respond"):
            if not _is_wanted(errand, None if errand.kind == "respond" else state.member(AccountId(errand.member))):
                self._store.groups.finish_errands(state.group_id, errand.kind, [errand.member])

    def _without_leavers(self, state: GroupState) -> GroupState:
        """With those to be removed who have left, and have said nothing since."""
        for errand in self._store.groups.errands(state.group_id, "left"):
            self._store.groups.finish_errands(state.group_id, "left", [errand.member])
            member = state.member(AccountId(errand.member))
            if member is None or member.removal or member.invitation != Offer.ACCEPTED:
                continue
            said_ms = self._store.messages.last_time_of(state.group_id, errand.member)
            if said_ms > errand.at_ms + LEAVING_MS:
                continue
            state = state.with_member(member.removed())
        return state

    def _end(self, state: GroupState, admin: GroupIdentity, deadline: Deadline) -> None:
        """Have nothing left of a group that was ended here, once everybody can know."""
        self._network().upkeep.perform(admin, [DeleteAll(Namespace.GROUP_MESSAGES)], deadline, needed=0)
        with self._store.transaction():
            Membership(self._store, self._identity).forget(state.row)

    # Keys and configs.

    def _push(self, state: GroupState, admin: GroupIdentity, deadline: Deadline) -> None:
        """Bring keys and configs to the swarm, in one request."""
        group_id, now_ms = state.group_id, self._network().clock.now_ms()
        with self._store.transaction():
            self._drop_overtaken(state)
        admitted = [AccountId(errand.member) for errand in self._store.groups.errands(group_id, "admit")]
        told_all = [account_id for account_id in admitted if (one := state.member(account_id)) and one.supplement]
        steps: list[Step] = []
        if told_all and state.keys.keys:
            steps.append(OwnStore(Namespace.GROUP_KEYS, state.keys.supplement(admin, told_all), TTL_MS))
        if state.keys.pending is not None:
            steps.append(OwnStore(Namespace.GROUP_KEYS, state.keys.pending.message, TTL_MS))
        pushes: list[Push] = []
        with self._store.transaction():
            for kind in KINDS:
                config = state.config(kind).outspoken()
                if not config.state.needs_push:
                    continue
                push = config.state.push(state.config_keys, now_ms)
                # What is to be deleted is forgotten when it has been. Without an answer it may be there all the same.
                push = replace(push, state=replace(push.state, obsolete_hashes=push.obsolete))
                state = state.with_config(kind, replace(config, state=push.state))
                pushes.append(push)
            state = self._groups.save(state)
        steps += [OwnStore(push.state.kind.namespace, data, TTL_MS) for push in pushes for data in push.messages]
        tokens = _tokens(admin, admitted)
        steps += [Unrevoke(tokens[at : at + MOST_REVOKED]) for at in range(0, len(tokens), MOST_REVOKED)]
        needed = len(steps)
        obsolete = [MessageHash(hash) for push in pushes for hash in sorted(push.obsolete)][:MOST_HASHES]
        if obsolete:
            steps.append(Delete(obsolete))
        for at in range(0, len(steps), MAX_BATCH):
            part = steps[at : at + MAX_BATCH]
            self._network().upkeep.perform(admin, part, deadline, needed=min(len(part), max(0, needed - at)))
        self._confirm(state, pushes, admitted, now_ms)

    def _confirm(self, state: GroupState, pushes: Sequence[Push], admitted: Sequence[str], now_ms: int) -> None:
        """Note that all of it is in the swarm, but for what was changed meanwhile."""
        group_id = state.group_id
        with self._store.transaction():
            self._store.groups.finish_errands(group_id, "admit", admitted)
            now = self._groups.load(group_id)
            if now is None:
                return
            pending = state.keys.pending
            if pending is not None and now.keys.pending == pending:
                # As if it had come back already: what we encrypt from now on, others can read.
                from ...protocol.group.keys import StoredKeys

                hash = message_hash(group_id, Namespace.GROUP_KEYS, pending.message)
                keys, _ = now.keys.load(StoredKeys(hash, now_ms, pending.message), self._identity, now.admin)
                now = replace(now, keys=keys)
                self._store.swarm.mark_seen(group_id, Namespace.GROUP_KEYS, hash, now_ms + TTL_MS, seen_ms=now_ms)
            for push in pushes:
                kind = push.state.kind
                config = now.config(kind)
                if config_dumps.dump(config.state) != config_dumps.dump(push.state):
                    continue
                hashes: list[str] = [message_hash(group_id, kind.namespace, data) for data in push.messages]
                for name in hashes:
                    self._store.swarm.mark_seen(group_id, kind.namespace, name, now_ms + TTL_MS, seen_ms=now_ms)
                confirmed = replace(push.state, obsolete_hashes=frozenset()).confirm_pushed(push.seqno, hashes)
                now = now.with_config(kind, replace(config, state=confirmed, base=None))
            self._groups.save(now)

    # Members who go.

    def _lock_out(self, state: GroupState, admin: GroupIdentity, leaving: Sequence[Member], deadline: Deadline) -> None:
        """Tell members who are removed that they are, let them in no more, and change the key."""
        some = list(leaving)[:MOST_REVOKED]
        ids = [member.account_id for member in some]
        # Ids that nobody can have need not be told, or kept out.
        tokens = {account_id: token for account_id in ids for token in _tokens(admin, [account_id])}
        steps: list[Step] = []
        if tokens:
            notice = kick_notice(admin, list(tokens), state.keys.generation)
            # The notice first: a swarm forgets who is revoked with an account's last message.
            steps += [OwnStore(Namespace.REVOKED_GROUP_MESSAGES, notice, MAX_TTL_MS), Revoke(list(tokens.values()))]
        silenced = [member.account_id for member in some if member.removal == Removal.WITH_MESSAGES]
        if silenced:
            steps.append(self._order_to_delete(state, admin, silenced))
        if steps:
            self._network().upkeep.perform(admin, steps, deadline)
        with self._store.transaction():
            now = self._groups.load(state.group_id) or state
            members = now.members
            for account_id in ids:
                members = members.without_member(account_id)
            for account_id in silenced:
                self._forget_messages(now, account_id)
            self._groups.save(now.with_members(members).rekeyed())

    def _order_to_delete(self, state: GroupState, admin: GroupIdentity, silenced: Sequence[AccountId]) -> OwnStore:
        from ...protocol import content as contents
        from ...protocol.group import messages

        with self._store.transaction():
            sent_ms = self._store.next_sent_ms(self._network().clock.now_ms())
        order = updates.delete_content(admin, sent_ms, members=silenced)
        serialized = contents.serialize(Content(order, sent_ms))
        key = state.keys.encryption_keys[0]
        data = messages.encode_message(self._identity, state.group_id, key, serialized, sent_ms)
        return OwnStore(Namespace.GROUP_MESSAGES, data, MAX_TTL_MS)

    def _forget_messages(self, state: GroupState, account_id: AccountId) -> None:
        """Delete here what somebody wrote, and have it deleted in the swarm."""
        for message_id in self._store.messages.sent_by(state.group_id, account_id, self._store.now_ms() + TTL_MS):
            row = self._store.messages.get(message_id)
            if row is None:
                continue
            if row.hash is not None:
                self._store.groups.add_errand(state.group_id, "delete", row.hash)
            self._store.messages.bury(message_id, self._store.now_ms())

    # What people are told.

    def _offer(
        self,
        state: GroupState,
        admin: GroupIdentity,
        errands: Sequence[Errand],
        deadline: Deadline,
        progress: ProgressReport | None,
    ) -> None:
        """Send invitations and promotions, and note what became of them."""
        group_id = state.group_id
        outcomes: dict[tuple[str, str], Offer] = {}
        for at in range(0, len(errands), AT_ONCE):
            some = errands[at : at + AT_ONCE]
            payloads = [(AccountId(errand.member), partial(self._payload, state, admin, errand)) for errand in some]
            results = self._sender().transmit_each(payloads, deadline)
            for errand, result in zip(some, results, strict=True):
                failed = isinstance(result, SessionError)
                if isinstance(result, SessionError):
                    LOG.warning("Not told of the group: %s…: %s", errand.member[:10], result.message)
                outcomes[errand.kind, errand.member] = Offer.FAILED if failed else Offer.SENT
            if progress is not None:
                progress("inviting", min(at + AT_ONCE, len(errands)), len(errands))
        with self._store.transaction():
            now = self._groups.load(group_id)
            if now is None:
                return
            for (kind, address), offer in outcomes.items():
                self._store.groups.finish_errands(group_id, kind, [address])
                member = now.member(AccountId(address))
                if member is None or member.removal:
                    continue
                if kind == "invite" and not member.admin and member.invitation != Offer.ACCEPTED:
                    now = now.with_member(member.with_invitation(offer))
                elif kind == "promote" and (not member.admin or member.promotion != Offer.ACCEPTED):
                    now = now.with_member(member.with_promotion(offer))
            self._groups.save(now)

    def _payload(self, state: GroupState, admin: GroupIdentity, errand: Errand, sent_ms: int) -> Payload:
        if errand.kind == "invite":
            return updates.invite(admin, AccountId(errand.member), state.info.name, sent_ms)
        return updates.promotion(admin, state.info.name)

    def _delete(self, state: GroupState, admin: GroupIdentity, deadline: Deadline) -> None:
        """Have the swarm delete what members deleted, who can't do that themselves."""
        hashes = [errand.member for errand in self._store.groups.errands(state.group_id, "delete")][:MOST_HASHES]
        if not hashes:
            return
        self._network().upkeep.perform(admin, [Delete([MessageHash(hash) for hash in hashes])], deadline, needed=0)
        with self._store.transaction():
            self._store.groups.finish_errands(state.group_id, "delete", hashes)

    def _respond(self, state: GroupState, deadline: Deadline) -> None:
        """Tell a group that we have joined it, once we can."""
        errands = self._store.groups.errands(state.group_id, "respond")
        if not errands or not state.keys.encryption_keys:
            return
        try:
            self._sender().transmit(GroupInviteResponse(approved=True), [state.group_id], deadline)
        except ServiceRefused as error:
            LOG.info("group %s… can't be told that we joined: %s", state.group_id[:10], error.message)
        with self._store.transaction():
            self._store.groups.finish_errands(state.group_id, "respond", [errand.member for errand in errands])


def _is_wanted(errand: Errand, member: Member | None) -> bool:
    """Whether something is still to be done for somebody, as he is listed by now: no admin is invited any more."""
    if member is None or member.removal:
        return False
    if errand.kind == "promote":
        return member.admin and member.promotion != Offer.ACCEPTED
    return not member.admin and member.invitation != Offer.ACCEPTED


def _tokens(admin: GroupIdentity, people: Sequence[AccountId]) -> list[bytes]:
    """What the swarm knows members by; not of ids that nobody can have."""
    found = []
    for account_id in people:
        with suppress(InvalidInput):
            found.append(subaccount.token(admin, account_id))
    return found
