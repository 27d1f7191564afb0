"""Being asked into a group, or to run one: what a one-to-one message of an admin does."""

from __future__ import annotations

import logging
from dataclasses import replace

from ...errors import BadSignature, InvalidAccountId, InvalidInput, MalformedMessage
from ...protocol.account import AccountId, Identity
from ...protocol.group import subaccount, updates
from ...protocol.group.identity import GroupIdentity, parse_group_id
from ...protocol.payload import GroupInvite, GroupPromotion
from ...protocol.storage_rpc import Namespace
from ...store.groups import DESTROYED, GroupRow
from ...store.records import NewMessage, PersonRow
from ...store.store import Store
from ..group_views import NAMESPACES, GroupViews

LOG = logging.getLogger(__name__)


class Membership:
    """The invitations to one account. To be called inside a transaction."""

    def __init__(self, store: Store, identity: Identity) -> None:
        self._store = store
        self._identity = identity
        self._views = GroupViews(store)

    def take(self, offer: GroupInvite | GroupPromotion, sender: AccountId, sent_ms: int) -> int:
        """Take in an invitation, or the offer to be an admin; how many events came of it.

        From somebody whom we have approved it is accepted at once, from others it waits for an answer. Raises
        MalformedMessage and BadSignature for what is none.
        """
        if isinstance(offer, GroupInvite):
            group_id = self._check_invite(offer, sent_ms)
            seed, auth_data = None, offer.auth_data
        else:
            try:
                group_id = GroupIdentity.from_seed(offer.seed).group_id
            except InvalidInput as error:
                raise MalformedMessage(error.message) from None
            seed, auth_data = offer.seed, None
        known = self._store.groups.get(group_id)
        if known is not None and (known.removed == DESTROYED or known.seed is not None):
            return 0
        told_ms = self._store.configs.merged_ms(Namespace.USER_GROUPS) if known is None else 0
        if sent_ms < max(told_ms, self._store.conversations.gone_ms(group_id)):
            # We have left, or were removed, since; or another device has, and says so by not knowing of it.
            return 0
        person = self._store.people.get(sender)
        is_in = known is not None and not known.invited and not known.removed
        waits = not is_in and not (person is not None and person.approved)
        now_s = self._store.now_ms() // 1000
        row = replace(
            known or GroupRow(group_id),
            seed=seed,
            auth_data=auth_data,
            invited=waits,
            inviter=sender,
            removed=0,
            joined_s=known.joined_s if known and is_in else now_s,
            polled=False,
        )
        self._store.swarm.forget_positions(group_id, NAMESPACES)
        self._store.groups.put(row)
        if not waits and not is_in and seed is None:
            self._store.groups.add_errand(group_id, "respond", self._identity.account_id)
        if not is_in:
            # In a group that we are in, its own config says how it is called.
            self._name(group_id, offer.name, approved=not waits)
        if is_in:
            # Of a promotion the group is told as well.
            return 0
        content = {"change": "invited", "name": offer.name or None}
        entry = NewMessage(
            group_id, "incoming", sender, sent_ms, "", "received", kind="group_update", content=content, request=waits
        )
        message_id = self._store.messages.add(entry)
        if message_id is None:
            return 0
        self._store.events.add("group_update", message_id)
        return 1

    def _check_invite(self, invite: GroupInvite, sent_ms: int) -> AccountId:
        try:
            group_id = parse_group_id(invite.group_id)
        except InvalidAccountId as error:
            raise MalformedMessage(error.message) from None
        updates.verify_invite(invite, self._identity.account_id, sent_ms)
        if not subaccount.is_valid(self._identity, group_id, invite.auth_data):
            raise BadSignature("What is to let us into a group was not made for us.")
        return group_id

    def _name(self, group_id: AccountId, name: str, *, approved: bool) -> None:
        person = self._store.people.get(group_id) or PersonRow(group_id, None, None, approved, approved)
        shown = name or person.name
        self._store.people.put(replace(person, name=shown, approved=approved, approved_me=approved))

    def accept(self, row: GroupRow) -> None:
        """Join a group that invites us."""
        group_id = AccountId(row.address)
        now_s = self._store.now_ms() // 1000
        self._store.groups.put(replace(row, invited=False, joined_s=now_s))
        if row.seed is None:
            self._store.groups.add_errand(group_id, "respond", self._identity.account_id)
        person = self._store.people.get(group_id)
        self._name(group_id, (person.name if person else None) or "", approved=True)
        self._store.messages.settle_request(group_id)
        self._store.conversations.show(group_id)

    def forget(self, row: GroupRow) -> int:
        """Be in a group no more, on all our devices; how many messages there were."""
        count = self._views.forget(AccountId(row.address))
        self._store.conversations.note_gone(row.address, self._store.now_ms())
        self._store.configs.note_deleted(row.address)
        return count
