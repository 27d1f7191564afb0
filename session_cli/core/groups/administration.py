"""Making and running groups, as their admin."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from ...errors import (
    InvalidInput,
    NetworkError,
    NodeFailed,
    NotAdmin,
    ServiceRefused,
)
from ...network.clock import Deadline
from ...protocol.account import AccountId, is_group
from ...protocol.config.fields import KEY_BYTES, Picture
from ...protocol.config.group_info import GroupInfo
from ...protocol.config.group_members import GroupMembers, Member, Offer
from ...protocol.group.identity import MAX_MEMBERS, GroupIdentity
from ...protocol.group.keys import GroupKeys
from ...protocol.payload import (
    Expiration,
    ExpirationMode,
    GroupMemberKind,
)
from ...store.groups import GroupRow
from ...store.records import NewMessage, PersonRow
from ..addressing import resolve
from ..group_views import GroupViews
from ..model import Group, GroupMember
from ..names import check_display_name
from ..profile import Profile
from .book import GroupBook
from .notices import Notice, member_notice
from .receiving import GroupReceiver
from .running import OFFERS, GroupKeeper
from .state import GroupState

if TYPE_CHECKING:
    from ...network.network import Network
    from ..attachments import ProgressReport
    from ..inbox import Inbox
    from ..profiles import Profiles
    from ..sending import Sender


class GroupAdministration(GroupBook):
    """Makes groups, and changes those that we are an admin of; see `Groups`."""

    def __init__(
        self,
        profile: Profile,
        network: Callable[[], Network],
        sender: Callable[[], Sender],
        inbox: Callable[[], Inbox],
        profiles: Callable[[], Profiles],
        timeout: float | None,
    ) -> None:
        super().__init__(profile)
        self._network = network
        self._sender = sender
        self._inbox = inbox
        self._profiles = profiles
        self._timeout = timeout
        self._receiver = GroupReceiver(profile, network)
        self.keeper = GroupKeeper(profile, network, sender)

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
                    for errand in ("admit", "invite"):
                        self._store.groups.add_errand(group_id, errand, account_id)
            try:
                self.keeper.push(group_id, deadline)
            except (NetworkError, ServiceRefused):
                with self._store.transaction():
                    GroupViews(self._store).forget(group_id)
                    self._store.configs.forget_group(group_id)
                raise
            if wanted:
                with self._store.transaction():
                    message_id = self._put_down(group_id, member_notice(self._store, GroupMemberKind.ADDED, wanted))
                self._sender().send_waiting(message_id, deadline)
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
        if person is None:
            return Member(account_id)
        url, key = person.picture_url, person.picture_key
        return Member(
            account_id, person.name or "", Picture(url, key) if url and key and len(key) == KEY_BYTES else None
        )

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
            for account_id in wanted:
                for errand in ("admit", "invite"):
                    self._store.groups.add_errand(state.group_id, errand, account_id)
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
                for errand in ("promote",) if member.admin else ("admit", "invite"):
                    self._store.groups.add_errand(state.group_id, errand, member.account_id)
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
                for kind in (*OFFERS, "admit"):
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
            self._fetch(group_id, deadline)
            message_id = None
            with self._store.transaction():
                state = self._load(group_id)
                changed, notice = change(state, self._admin_of(state))
                if changed is not state:
                    self._states.save(changed)
                    GroupViews(self._store).take_info(group_id, changed.info)
                if notice is not None:
                    message_id = self._put_down(group_id, notice)
            self.keeper.push(group_id, deadline)
            if message_id is not None:
                self._sender().send_waiting(message_id, deadline)
            self.keeper.settle(group_id, deadline, progress)
        return self._load(group_id)

    def _fetch(self, group_id: AccountId, deadline: Deadline) -> None:
        """Fetch all that there is in a group: nothing must be changed by who does not know what it is made of.

        Raises NetworkError, ServiceRefused.
        """
        self._receiver.poll(deadline, [group_id])
        state = self._load(group_id)
        known = state.keys.keys and state.member(self._own_id) is not None
        if state.row.is_active and not (known and group_id in self._receiver.complete):
            raise NodeFailed("What the group is made of could not be fetched; try again in a while.")

    def _admin_of(self, state: GroupState) -> GroupIdentity:
        self._check_in(state.row)
        admin = state.admin
        if admin is None:
            raise NotAdmin("Only admins of the group can do that, and you are none.")
        return admin

    def _put_down(self, group_id: AccountId, notice: Notice) -> int:
        """Put down what is to be said in the group; returns its id. To be called inside a transaction."""
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
        return self._sender().put_down(entry, expiration)

    @contextmanager
    def _exclusively(self, deadline: Deadline) -> Iterator[None]:
        """Be the only process that polls: what a group is made of is changed by one at a time."""
        with self._inbox().exclusively(deadline, purpose="to change a group"):
            yield
