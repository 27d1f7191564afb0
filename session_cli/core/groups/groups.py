"""The groups of one account, for those who script against them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from ...errors import AmbiguousName, InvalidAccountId, InvalidInput, NetworkError, NotAdmin, ServiceRefused
from ...network.clock import Deadline
from ...network.swarm_steps import DeleteAll
from ...protocol.account import AccountId, is_group
from ...protocol.config.fields import Picture
from ...protocol.config.group_info import GroupInfo
from ...protocol.config.group_members import GroupMembers, Member, MemberStatus, Offer
from ...protocol.group.identity import MAX_MEMBERS, GroupIdentity
from ...protocol.group.keys import GroupKeys
from ...protocol.payload import (
    Expiration,
    ExpirationMode,
    GroupLeftNotice,
    GroupMemberKind,
    GroupMemberLeft,
)
from ...protocol.storage_rpc import Namespace
from ...store.groups import DESTROYED, KICKED, GroupRow
from ...store.records import NewMessage, PersonRow
from ..addressing import SHOWN_DIGITS, resolve
from ..conversation_state import state_of
from ..group_views import GroupViews
from ..model import Group, GroupMember, Party, Viewer
from ..names import check_display_name, looks_like_id
from ..profile import Profile
from ..sealing import expiration_of
from .membership import Membership
from .notices import Notice, member_notice
from .receiving import GroupReceiver
from .running import GroupKeeper
from .state import KINDS, GroupState, GroupStore

if TYPE_CHECKING:
    from ...network.network import Network
    from ..attachments import ProgressReport
    from ..inbox import Inbox
    from ..profiles import Profiles
    from ..sending import Sender

LOG = logging.getLogger(__name__)
ERRANDS = {"invite": "sending", "promote": "sending"}
_ADMINS = (MemberStatus.ADMIN,)


class Groups:
    """The groups of one account. A group is named by its id, the beginning of one, or its name.

    Whatever changes a group asks its swarm first what is new there. Everything raises InvalidInput for what can't be,
    InvalidAccountId and AmbiguousName for groups and people that can't be told, NotAdmin where only an admin may do
    that, NetworkError and ServiceRefused. Where the network fails half way, what was decided is noted, and a later run
    brings it to the group.
    """

    def __init__(
        self,
        profile: Profile,
        network: Callable[[], Network],
        sender: Callable[[], Sender],
        inbox: Callable[[], Inbox],
        profiles: Callable[[], Profiles],
        timeout: float | None,
    ) -> None:
        self._profile = profile
        self._store = profile.store
        self._own_id = profile.identity.account_id
        self._network = network
        self._sender = sender
        self._inbox = inbox
        self._profiles = profiles
        self._timeout = timeout
        self._states = GroupStore(profile.store, profile.identity.account_id)
        self._membership = Membership(profile.store, profile.identity)
        self._receiver = GroupReceiver(profile, network)
        self.keeper = GroupKeeper(profile, network, sender)

    # Looking.

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
        errands = {errand.member for errand in self._store.groups.errands(state.group_id, *ERRANDS)}
        if member.account_id in errands and not member.removal:
            status = "sending"
        elif status.endswith("_unknown"):
            status = "unknown"
        return GroupMember(viewer.party(member.account_id, name), status, member.admin)

    # Making one.

    def create(
        self, name: str, people: Sequence[str], *, description: str = "", progress: ProgressReport | None = None
    ) -> Group:
        """Make a group of ourselves, as its admin, and people, whom it invites.

        Where it can't be brought to its swarm there is no group. Invitations that fail can be sent again: `resend`.
        """
        checked = check_display_name(name)
        wanted = self._people(people)
        if len(wanted) + 1 > MAX_MEMBERS:
            raise InvalidInput(f"A group has up to {MAX_MEMBERS} members, you among them, and not {len(wanted) + 1}.")
        deadline = Deadline(self._timeout)
        admin = GroupIdentity.generate()
        group_id = admin.group_id
        with self._exclusively(deadline):
            self._network().prepare(deadline)
            now_s = self._network().clock.now_ms() // 1000
            info = GroupInfo().with_name(checked).with_description(description).with_created(now_s)
            members = GroupMembers().with_member(self._oneself())
            for account_id in wanted:
                members = members.with_member(self._invited(account_id))
            with self._store.transaction():
                row = GroupRow(group_id, seed=admin.seed, joined_s=now_s, polled=True)
                self._store.groups.put(row)
                self._store.people.put(PersonRow(group_id, checked, None, approved=True, approved_me=True))
                empty = self._states.of_row(row)
                state = replace(empty, keys=GroupKeys(group_id)).with_info(info).with_members(members).rekeyed()
                self._states.save(state)
                GroupViews(self._store).take_info(group_id, info)
                for account_id in wanted:
                    self._store.groups.add_errand(group_id, "invite", account_id)
            try:
                self.keeper.push(group_id, deadline)
            except (NetworkError, ServiceRefused):
                with self._store.transaction():
                    GroupViews(self._store).forget(group_id)
                    self._store.configs.forget_group(group_id)
                raise
            if wanted:
                self._announce(group_id, member_notice(self._store, GroupMemberKind.ADDED, wanted), deadline)
            self.keeper.settle(group_id, deadline, progress)
        return self.get(group_id)

    def _oneself(self) -> Member:
        get = self._store.settings.get
        member = Member(self._own_id, get("display_name") or "", self._own_picture())
        return member.with_promotion(Offer.ACCEPTED)

    def _own_picture(self) -> Picture | None:
        get = self._store.settings.get
        url, key = get("picture_url"), get("picture_key")
        return Picture(url, key) if url and key else None

    def _invited(self, account_id: AccountId) -> Member:
        """A member to be: under the name of his own, not ours for him."""
        person = self._store.people.get(account_id)
        return Member(account_id, (person.name if person else None) or "")

    def _people(self, people: Sequence[str]) -> list[AccountId]:
        found = list(dict.fromkeys(resolve(self._profile, who) for who in people))
        for account_id in found:
            if account_id == self._own_id:
                raise InvalidInput("You can't name yourself here.")
            if is_group(account_id):
                raise InvalidInput(f"{account_id[:10]}… is a group, and no person.")
        return found

    # Changing one, as an admin.

    def invite(
        self, who: str, people: Sequence[str], *, history: bool = False, progress: ProgressReport | None = None
    ) -> list[GroupMember]:
        """Invite people, who can read what comes after, and with `history` what the swarm still has from before.

        Returns what became of them.
        """
        wanted = self._people(people)

        def change(state: GroupState, admin: GroupIdentity) -> tuple[GroupState, Notice | None]:
            members = state.members
            for account_id in wanted:
                known = members.get(account_id)
                if known is not None and not known.removal:
                    raise InvalidInput(
                        f"{account_id[:10]}… is in the group already, or invited; to invite them again: "
                        "session group resend"
                    )
                if known is not None:
                    raise InvalidInput(f"{account_id[:10]}… is just being removed; try again when that is over.")
                members = members.with_member(replace(self._invited(account_id), supplement=history))
            if len(members.ids) > MAX_MEMBERS:
                raise InvalidInput(f"A group has up to {MAX_MEMBERS} members; this one would have {len(members.ids)}.")
            if history:
                supplement = state.keys.supplement(admin, wanted)
                self._store.groups.add_errand(state.group_id, "supplement", ",".join(wanted), supplement)
            for account_id in wanted:
                self._store.groups.add_errand(state.group_id, "invite", account_id)
            notice = member_notice(self._store, GroupMemberKind.ADDED, wanted, history=history)
            return state.with_members(members).rekeyed(), notice

        state = self._change(who, change, progress)
        return self._some_members(state, wanted)

    def resend(
        self, who: str, people: Sequence[str] = (), *, progress: ProgressReport | None = None
    ) -> list[GroupMember]:
        """Send invitations and promotions again that failed or were never sent, or those to some people anyway."""
        wanted = self._people(people)
        told: list[AccountId] = []

        def change(state: GroupState, admin: GroupIdentity) -> tuple[GroupState, Notice | None]:
            for account_id in wanted:
                member = state.member(account_id)
                if member is None:
                    raise InvalidInput(f"{account_id[:10]}… is not in this group; see session group members.")
                if member.removal or not (member.invitation or member.promotion):
                    raise InvalidInput(f"{account_id[:10]}… has nothing to answer; see session group members.")
            for member in state.members:
                open_offers = (Offer.FAILED, Offer.NOT_SENT)
                unsent = member.invitation in open_offers or member.promotion in open_offers
                if member.removal or not (member.account_id in wanted if wanted else unsent):
                    continue
                kind = "promote" if member.admin else "invite"
                if kind == "invite" and member.supplement:
                    supplement = state.keys.supplement(admin, [member.account_id])
                    self._store.groups.add_errand(state.group_id, "supplement", member.account_id, supplement)
                self._store.groups.add_errand(state.group_id, kind, member.account_id)
                told.append(member.account_id)
            return state, None

        state = self._change(who, change, progress)
        return self._some_members(state, told)

    def remove(self, who: str, people: Sequence[str], *, delete_messages: bool = False) -> list[GroupMember]:
        """Remove members, perhaps with all that they wrote. Returns them as they were."""
        wanted = self._people(people)
        before: list[GroupMember] = []

        def change(state: GroupState, admin: GroupIdentity) -> tuple[GroupState, Notice | None]:
            for account_id in wanted:
                member = state.member(account_id)
                if member is None:
                    raise InvalidInput(f"{account_id[:10]}… is not in this group; see session group members.")
                if member.admin and member.promotion == Offer.ACCEPTED:
                    raise InvalidInput(f"{account_id[:10]}… is an admin, and admins can't be removed.")
                before.append(self._member(state, member))
                state = state.with_member(member.removed(with_messages=delete_messages))
                for kind in ERRANDS:
                    self._store.groups.finish_errands(state.group_id, kind, [account_id])
            return state, member_notice(self._store, GroupMemberKind.REMOVED, wanted)

        self._change(who, change)
        return before

    def promote(self, who: str, people: Sequence[str], *, progress: ProgressReport | None = None) -> list[GroupMember]:
        """Make admins of members, for good. Returns what became of them."""
        wanted = self._people(people)

        def change(state: GroupState, admin: GroupIdentity) -> tuple[GroupState, Notice | None]:
            for account_id in wanted:
                member = state.member(account_id)
                if member is None or member.removal:
                    raise InvalidInput(f"{account_id[:10]}… is not in this group; see session group members.")
                if member.admin:
                    raise InvalidInput(f"{account_id[:10]}… is an admin already, or was asked to be one.")
                if member.invitation != Offer.ACCEPTED:
                    raise InvalidInput(f"{account_id[:10]}… has not joined the group yet.")
                state = state.with_member(member.with_promotion(Offer.NOT_SENT))
                self._store.groups.add_errand(state.group_id, "promote", account_id)
            return state, member_notice(self._store, GroupMemberKind.PROMOTED, wanted)

        state = self._change(who, change, progress)
        return self._some_members(state, wanted)

    def rename(self, who: str, name: str) -> Group:
        """Give it another name."""
        checked = check_display_name(name)

        def change(state: GroupState, admin: GroupIdentity) -> tuple[GroupState, Notice | None]:
            if state.info.name == checked:
                return state, None
            return state.with_info(state.info.with_name(checked)), {"change": "renamed", "name": checked}

        return self._group(self._change(who, change))

    def describe(self, who: str, description: str) -> Group:
        """Say what it is about; an empty text says nothing."""

        def change(state: GroupState, admin: GroupIdentity) -> tuple[GroupState, Notice | None]:
            return state.with_info(state.info.with_description(description)), None

        return self._group(self._change(who, change))

    def set_picture(self, who: str, picture: bytes | None, *, progress: ProgressReport | None = None) -> Group:
        """Give it a picture (see `pictures.make_picture`), or (None) take it away."""
        self._admin_of(self._load(self.resolve(who)))
        uploaded = Picture(*self._profiles().upload(picture, progress)) if picture is not None else None

        def change(state: GroupState, admin: GroupIdentity) -> tuple[GroupState, Notice | None]:
            if state.info.picture == uploaded:
                return state, None
            return state.with_info(state.info.with_picture(uploaded)), {"change": "picture"}

        return self._group(self._change(who, change))

    def expire(self, who: str, seconds: int) -> Group:
        """Let what is written from now on disappear so many seconds after it was sent; 0: never."""

        def change(state: GroupState, admin: GroupIdentity) -> tuple[GroupState, Notice | None]:
            if state.info.timer == seconds:
                return state, None
            notice = {"mode": "after_send" if seconds else "off", "seconds": seconds}
            return state.with_info(state.info.with_timer(seconds)), notice

        return self._group(self._change(who, change))

    def _change(
        self,
        who: str,
        change: Callable[[GroupState, GroupIdentity], tuple[GroupState, Notice | None]],
        progress: ProgressReport | None = None,
    ) -> GroupState:
        """Fetch what is new in a group, change it as an admin, say so, and bring all of it to the group."""
        group_id = self.resolve(who)
        self._admin_of(self._load(group_id))
        deadline = Deadline(self._timeout)
        with self._exclusively(deadline):
            self._receiver.poll(deadline, [group_id])
            with self._store.transaction():
                state = self._load(group_id)
                changed, notice = change(state, self._admin_of(state))
                if changed is not state:
                    self._states.save(changed)
                    GroupViews(self._store).take_info(group_id, changed.info)
            if any(changed.config(kind) != state.config(kind) for kind in KINDS):
                self.keeper.push(group_id, deadline)
            if notice is not None:
                self._announce(group_id, notice, deadline)
            self.keeper.settle(group_id, deadline, progress)
        return self._load(group_id)

    def _admin_of(self, state: GroupState) -> GroupIdentity:
        self._check_in(state.row)
        admin = state.admin
        if admin is None:
            raise NotAdmin("Only admins of the group can do that, and you are none.")
        return admin

    def _check_in(self, row: GroupRow) -> None:
        """Raise InvalidInput for a group that we are not in."""
        if row.invited:
            raise InvalidInput(f"You have not joined this group yet: session group accept {row.address[:10]}")
        if row.removed:
            how = "You were removed from this group" if row.removed == KICKED else "This group does not exist any more"
            raise InvalidInput(f"{how}; to forget it: session group delete {row.address[:10]}")

    def _some_members(self, state: GroupState, wanted: Sequence[AccountId]) -> list[GroupMember]:
        members = [state.member(account_id) for account_id in wanted]
        return [self._member(state, member) for member in members if member is not None]

    def _announce(self, group_id: AccountId, notice: Notice, deadline: Deadline) -> None:
        """Say in the group what was done; if the network fails, later."""
        is_timer = "mode" in notice
        entry = NewMessage(
            conversation=group_id,
            direction="outgoing",
            sender=self._own_id,
            sent_ms=0,
            body="",
            status="queued",
            kind="expiration_update" if is_timer else "group_update",
            content=notice,
        )
        expiration = None
        if is_timer:
            expiration = Expiration(ExpirationMode[str(notice["mode"]).upper()], int(notice["seconds"]))
        with self._store.transaction():
            message_id = self._sender().put_down(entry, expiration)
        self._sender().send_waiting(message_id, deadline)

    @contextmanager
    def _exclusively(self, deadline: Deadline) -> Iterator[None]:
        """Be the only process that polls: what a group is made of is changed by one at a time."""
        with self._inbox().exclusively(deadline):
            yield

    # Joining and leaving.

    def accept(self, who: str) -> Group:
        """Join a group that invites us."""
        group_id = self.resolve(who)
        row = self._load(group_id).row
        if not row.invited:
            raise InvalidInput("This group does not wait for an answer of yours.")
        deadline = Deadline(self._timeout)
        with self._exclusively(deadline):
            with self._store.transaction():
                self._membership.accept(self._load(group_id).row)
            self._receiver.poll(deadline, [group_id])
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
            self._receiver.poll(deadline, [group_id])
            state = self._load(group_id)
            group = self._group(state)
            if state.row.is_active:
                others = [member for member in state.members if member.account_id != self._own_id]
                if state.admin is not None and not any(member.status in _ADMINS for member in others):
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
            self._receiver.poll(deadline, [group_id])
            state = self._load(group_id)
            if state.row.is_active:
                admin = self._admin_of(state)
                with self._store.transaction():
                    self._states.save(state.with_info(state.info.destroyed()))
                self.keeper.push(group_id, deadline)
                step = DeleteAll(Namespace.GROUP_MESSAGES)
                self._network().upkeep.perform(admin, [step], deadline, needed=0)
            return self._forget(group)

    def _forget(self, group: Group) -> Group:
        with self._store.transaction():
            row = self._store.groups.get(group.id)
            if row is not None:
                self._membership.forget(row)
        return group


def _state_of(row: GroupRow) -> str:
    if row.removed:
        return "destroyed" if row.removed == DESTROYED else "kicked"
    if row.invited:
        return "invited"
    return "admin" if row.seed is not None else "member"
