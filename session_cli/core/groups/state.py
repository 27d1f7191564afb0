"""One group as this device knows it: how we get in, its keys, and the two configs that it is made of."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ...protocol.account import AccountId, Identity
from ...protocol.config.group_info import GroupInfo
from ...protocol.config.group_members import GroupMembers, Member, Offer
from ...protocol.config.kinds import ConfigKind
from ...protocol.config.state import ConfigKeys
from ...protocol.group import dump as key_dumps
from ...protocol.group.identity import GroupIdentity
from ...protocol.group.keys import GroupKeys
from ...protocol.group.subaccount import GroupMember
from ...protocol.storage_rpc import SwarmAccount
from ...store.groups import GroupRow
from ...store.store import Store
from ..shared_config import SharedConfig

KINDS = (ConfigKind.GROUP_INFO, ConfigKind.GROUP_MEMBERS)


@dataclass(frozen=True, slots=True)
class GroupState:
    """A group. A value: every change makes another one, which `GroupStore.save` keeps."""

    row: GroupRow
    keys: GroupKeys
    info_config: SharedConfig
    members_config: SharedConfig

    @property
    def group_id(self) -> AccountId:
        """Its id."""
        return AccountId(self.row.address)

    @property
    def admin(self) -> GroupIdentity | None:
        """What admins have, if we are one."""
        return GroupIdentity.from_seed(self.row.seed) if self.row.seed is not None else None

    @property
    def config_keys(self) -> ConfigKeys:
        """What opens the messages of the configs, and signs them where we are an admin."""
        return self.keys.config_keys(self.admin)

    @property
    def info(self) -> GroupInfo:
        """What the group is called, and more."""
        return GroupInfo(self.info_config.state.data)

    @property
    def members(self) -> GroupMembers:
        """Who is in it."""
        return GroupMembers(self.members_config.state.data)

    def member(self, account_id: AccountId) -> Member | None:
        """One of them."""
        return self.members.get(account_id)

    @property
    def needs_push(self) -> bool:
        """Whether the swarm does not have everything yet."""
        configs = (self.info_config, self.members_config)
        return self.keys.pending is not None or any(config.state.needs_push for config in configs)

    def account(self, identity: Identity) -> SwarmAccount:
        """What its swarm is asked with. Raises MalformedMessage and BadSignature where that is not for us."""
        return account_of(self.row, identity)

    def with_info(self, info: GroupInfo) -> GroupState:
        """With other facts."""
        return replace(self, info_config=self.info_config.with_data(info.data))

    def with_members(self, members: GroupMembers) -> GroupState:
        """With other members."""
        return replace(self, members_config=self.members_config.with_data(members.data))

    def with_member(self, member: Member) -> GroupState:
        """With one more member, or one otherwise."""
        return self.with_members(self.members.with_member(member))

    def with_config(self, kind: ConfigKind, config: SharedConfig) -> GroupState:
        """With another state of one of the two configs."""
        if kind is ConfigKind.GROUP_INFO:
            return replace(self, info_config=config)
        return replace(self, members_config=config)

    def config(self, kind: ConfigKind) -> SharedConfig:
        """One of the two configs."""
        return self.info_config if kind is ConfigKind.GROUP_INFO else self.members_config

    def rekeyed(self) -> GroupState:
        """With a new key for all members there are, under which both configs have to be pushed. For admins."""
        admin = self.admin
        if admin is None:
            raise ValueError("only an admin changes the keys")
        state = replace(self, keys=self.keys.rekey(admin, self.members.ids))
        for kind in KINDS:
            config = state.config(kind)
            state = state.with_config(kind, replace(config, state=config.state.renewed()))
        return state

    def as_admin(self, own_id: AccountId) -> GroupState:
        """With what an admin has to change in any case: his own promotion is accepted, and of two keys none is left."""
        state, member = self, self.member(own_id)
        if state.admin is None:
            return state
        if member and not member.removal and not (member.admin and member.promotion == Offer.ACCEPTED):
            state = state.with_member(member.with_promotion(Offer.ACCEPTED))
        return state.rekeyed() if state.keys.needs_rekey else state

    def is_due(self, own_id: AccountId) -> bool:
        """Whether there is something to be done by an admin, if we are one."""
        if self.admin is None:
            return False
        due = self.needs_push or self.info.is_destroyed or self.as_admin(own_id) is not self
        return due or any(member.removal for member in self.members)


def account_of(row: GroupRow, identity: Identity) -> SwarmAccount:
    """What the swarm of a group is asked with. Raises MalformedMessage and BadSignature where that is not for us."""
    if row.seed is not None:
        return GroupIdentity.from_seed(row.seed)
    return GroupMember.from_auth_data(identity, AccountId(row.address), row.auth_data or b"")


class GroupStore:
    """Loads and saves them, for one account."""

    def __init__(self, store: Store, own_id: AccountId) -> None:
        self._store = store
        self._own_id = own_id

    def load(self, group_id: str) -> GroupState | None:
        """A group, if it is known."""
        row = self._store.groups.get(group_id)
        return self.of_row(row) if row is not None else None

    def of_row(self, row: GroupRow) -> GroupState:
        """The group of a row."""
        group_id = AccountId(row.address)
        keys = key_dumps.load(group_id, row.keys) if row.keys is not None else GroupKeys(group_id)
        return GroupState(row, keys, *(self._config(row.address, kind) for kind in KINDS))

    def _config(self, address: str, kind: ConfigKind) -> SharedConfig:
        return SharedConfig.of_row(kind, self._store.groups.config(address, kind.namespace))

    def save(self, state: GroupState) -> GroupState:
        """Keep a group as it is now. To be called inside a transaction."""
        row = replace(state.row, keys=key_dumps.dump(state.keys), due=state.is_due(self._own_id))
        self._store.groups.put(row)
        for kind in KINDS:
            config = state.config(kind)
            self._store.groups.put_config(row.address, kind.namespace, config.row(), dirty=config.state.needs_push)
        return replace(state, row=row)
