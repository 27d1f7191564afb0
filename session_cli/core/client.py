"""The client library: one class that a person scripts against.

Everything is synchronous. A `Client` belongs to one thread; several processes may use the same profile at once.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from ..errors import InvalidInput, NetworkError, ServiceRefused, SessionError, StoreLocked, StoreUnwritable
from ..protocol.account import AccountId, Identity, is_community
from ..store.key import KeyInfo, KeyMethod, PassphrasePrompt, describe_key
from .expiry import network_time, note_network_time, purge
from .preferences import Preferences
from .profile import DEFAULT_PROFILE, Profile, choose_network, create_profile, key_sources, open_profile

if TYPE_CHECKING:
    from ..network.clock import Deadline
    from ..network.network import Network
    from ..store.records import EventRow, MessageRow
    from .attachments import Attachments, OutgoingFile, ProgressReport
    from .backup import BackupInfo
    from .chores import SwarmChores
    from .communities.communities import Communities
    from .communities.deeds import RoomDeeds
    from .config_sync import SyncSummary
    from .contacts import Contacts
    from .conversations import ConversationSwitches
    from .disappearing import Disappearing
    from .files import Files
    from .groups.groups import Groups
    from .history import History
    from .inbox import Batch, Inbox, Reading
    from .message_requests import MessageRequests
    from .model import Event, Message, Viewer
    from .outbox import Outbox
    from .outgoing import Outgoing
    from .profiles import Profiles
    from .reading import ReadState
    from .receiving import PollResult, Receiver
    from .reparse import Reparsed
    from .sending import Sender
    from .typing_signals import TypingSignals
    from .upkeep import StoreInfo

LOG = logging.getLogger(__name__)
DEFAULT_READER = "default"
NOTHING_TOLD = Preferences()
SHARING_S = 30.0
"""How long a client that is closed takes at the most to tell our other devices what was changed."""


class Client:
    """A Session account on this machine.

    Made by `create`, `restore` or `open`; a context manager that closes what it opened, and tells our other devices of
    changes if the network was in use. `timeout` limits each operation as a whole, in seconds; None leaves only the
    limits of single requests. `proxy` is the URL of one; with `direct` requests go without onion paths to nodes and
    servers, which then see this machine's address.
    """

    def __init__(
        self,
        profile: Profile,
        *,
        network: str | None = None,
        proxy: str | None = None,
        direct: bool = False,
        timeout: float | None = None,
        preferences: Preferences = NOTHING_TOLD,
    ) -> None:
        if direct:
            from ..network.proxy import check_direct

            check_direct(proxy)
        self._profile = profile
        self._store = profile.store
        self._network_reference = network
        self._proxy = proxy
        self._direct = direct
        self._timeout = timeout
        self._preferences = preferences
        self._opened_network: Network | None = None
        self._uses_network = False

    # Making and opening.

    @classmethod
    def create(
        cls,
        profile: str = DEFAULT_PROFILE,
        *,
        name: str | None = None,
        identity: Identity | None = None,
        is_new: bool = False,
        network: str = "mainnet",
        key_method: KeyMethod = KeyMethod.KEYFILE,
        key_command: str | None = None,
        prompt: PassphrasePrompt | None = None,
        environ: Mapping[str, str] = os.environ,
        proxy: str | None = None,
        direct: bool = False,
        timeout: float | None = None,
    ) -> Client:
        """Make an account (or bring one back, with its `identity`) and its profile. Offline.

        `is_new`: nobody has used the account before, although its identity is given.

        Raises ProfileExists, KeySourceFailed, StoreUnwritable, InvalidNetworkDefinition; InvalidInput for a name that
        is empty, too long or holds control characters.
        """
        made = create_profile(
            key_sources(environ, profile, prompt),
            identity or Identity.generate(),
            choose_network(network),
            method=key_method,
            command=key_command,
            display_name=name,
        )
        if is_new or identity is None:
            # Nothing can be in its swarm that might be written over.
            with made.store.transaction():
                made.store.configs.note_polled()
        return cls(made, network=network, proxy=proxy, direct=direct, timeout=timeout)

    @classmethod
    def open(
        cls,
        profile: str = DEFAULT_PROFILE,
        *,
        network: str | None = None,
        prompt: PassphrasePrompt | None = None,
        environ: Mapping[str, str] = os.environ,
        proxy: str | None = None,
        direct: bool = False,
        timeout: float | None = None,
        preferences: Preferences = NOTHING_TOLD,
        looking: bool = False,
    ) -> Client:
        """Open a profile. `network` None means the one it was made for; another one is refused when it is needed.

        With `looking` a profile is opened even where nothing can be written, on a read-only file system for one; what
        would change it raises StoreUnwritable then.

        Raises NotConfigured, WrongKey, KeySourceFailed, StoreDamaged, StoreTooNew, StoreUnwritable.
        """
        opened = open_profile(key_sources(environ, profile, prompt), looking=looking)
        opened.store.now_ms = network_time(opened.store)
        with suppress(StoreUnwritable, StoreLocked):
            # Where it can't be deleted now, it is not shown all the same.
            purge(opened.store)
            if not preferences.read_receipts and opened.store.deliveries.has_receipts():
                # Put down while that was wanted.
                with opened.store.transaction():
                    opened.store.deliveries.forget_receipts()
        return cls(opened, network=network, proxy=proxy, direct=direct, timeout=timeout, preferences=preferences)

    @classmethod
    def restore_backup(
        cls,
        source: BinaryIO,
        profile: str = DEFAULT_PROFILE,
        *,
        network: str | None = None,
        key_method: KeyMethod = KeyMethod.KEYFILE,
        key_command: str | None = None,
        prompt: PassphrasePrompt | None = None,
        backup_prompt: PassphrasePrompt | None = None,
        environ: Mapping[str, str] = os.environ,
        overwrite: bool = False,
        progress: ProgressReport | None = None,
    ) -> Client:
        """Bring a profile back from a backup, whole or not at all. Offline; the next poll catches up.

        `prompt` asks for the passphrase of the profile, if it is to have one, `backup_prompt` for the backup's. With
        `overwrite` a profile that is there is replaced. Raises what `session_cli.core.backup.restore_backup` raises.
        """
        from .backup import backup_sources, restore_backup

        restored = restore_backup(
            source,
            key_sources(environ, profile, prompt),
            backup_sources(key_sources(environ, profile, backup_prompt)),
            method=key_method,
            command=key_command,
            network=choose_network(network) if network is not None else None,
            overwrite=overwrite,
            progress=progress,
        )
        return cls(restored, network=network)

    def close(self) -> None:
        """Close connections and the store."""
        if self._opened_network is not None:
            self._opened_network.close()
        self._store.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                self._share_changes()
        finally:
            self.close()

    def _share_changes(self) -> None:
        """Tell our other devices what was changed, if the network is in use; what was read, with the next poll.

        Not without a poll: they take it that whoever tells them something knows what came before. Another process that
        is at it tells them of this, too; failures wait for a later run.
        """
        if not self._uses_network or not self._store.configs.is_due(reads=False):
            return
        from ..network.clock import Deadline

        try:
            self.inbox.poll_first(Deadline(self._timeout).within(SHARING_S))
        except (NetworkError, ServiceRefused, StoreLocked, StoreUnwritable) as error:
            LOG.info("our other devices will hear of changes later: %s", error.message)
        except SessionError as error:
            # What was to be done is done, and must not look as if it had failed.
            LOG.warning("Our other devices could not be told of changes: %s", error.message)

    def sync(self) -> SyncSummary:
        """Fetch what our other devices changed, and tell them what was changed here.

        Raises what `poll` raises; what was fetched stays.
        """
        from ..network.clock import Deadline

        merged = self.poll().merged
        self._receiver.configs.push(Deadline(self._timeout))
        return self._receiver.configs.summary(merged=merged)

    def shared(self) -> SyncSummary:
        """What our devices share, as far as it has been fetched. Offline."""
        return self._receiver.configs.summary()

    # The account.

    @property
    def account_id(self) -> AccountId:
        """Our id: 66 hex digits beginning with 05."""
        return self._profile.identity.account_id

    @property
    def name(self) -> str | None:
        """Our display name."""
        name: str | None = self._store.settings.get("display_name")
        return name

    @property
    def profile_name(self) -> str:
        """The name of the profile on this machine."""
        return self._profile.name

    @property
    def folder(self) -> Path:
        """Where the profile's encrypted data lies."""
        return self._profile.folder

    @property
    def network_id(self) -> str:
        """The id of the network that the profile belongs to."""
        return str(self._store.settings.get("network_id"))

    @property
    def key_info(self) -> KeyInfo:
        """How the store's key is kept."""
        return describe_key(self._profile.folder)

    def store_info(self) -> StoreInfo:
        """Facts about the store: where it is, how large, what it holds."""
        from .upkeep import store_info

        return store_info(self._profile)

    def reparse(self) -> Reparsed:
        """Read anew what earlier versions could not understand; see `reparse.reparse`. Offline."""
        from .reparse import reparse

        return reparse(self._profile, self._preferences)

    def backup(
        self,
        target: Path | Callable[[bytes], object],
        *,
        prompt: PassphrasePrompt | None = None,
        environ: Mapping[str, str] = os.environ,
        overwrite: bool = False,
        progress: ProgressReport | None = None,
    ) -> BackupInfo:
        """Write a backup of all there is to a file, or hand it in pieces to a function, encrypted under a passphrase.

        The passphrase comes from SESSION_BACKUP_PASSPHRASE, _FILE or _COMMAND in `environ`, or is asked for by
        `prompt`. Raises CannotCreate if there is such a file, unless `overwrite` is set, KeySourceFailed,
        StoreUnwritable.
        """
        from .backup import backup_sources, save_backup, write_backup

        secrets = backup_sources(key_sources(environ, self._profile.name, prompt))
        if isinstance(target, Path):
            return save_backup(self._profile, target, secrets, overwrite=overwrite, progress=progress)
        return write_backup(self._profile, target, secrets, progress)

    def seed(self) -> bytes:
        """The secret that is the account: 16 bytes, or 32 for accounts restored from 24 or 25 words."""
        return self._profile.identity.short_seed

    @property
    def network(self) -> Network:
        """The network, opened on first use. Raises InvalidNetworkDefinition, WrongNetwork."""
        if self._opened_network is None:
            # Not before: a command that stays on this machine must not pay for loading an HTTP library.
            from ..network.definition import load_definition
            from ..network.network import Network

            definition = load_definition(self._network_reference or self._profile.network_reference)
            self._profile.check_network(definition)
            self._opened_network = Network(
                definition, self._profile.locations.cache, proxy=self._proxy, direct=self._direct
            )
        return self._opened_network

    def _use_network(self) -> Network:
        """The network, from now on also for what our other devices have to be told."""
        self._uses_network = True
        return self.network

    # What the use cases need is loaded when they are used: `whoami` must not pay for sending.

    @cached_property
    def _sender(self) -> Sender:
        from .sending import Sender

        return Sender(self._profile, self._use_network)

    @cached_property
    def _receiver(self) -> Receiver:
        from .receiving import Receiver

        return Receiver(self._profile, self._use_network, self._preferences)

    @cached_property
    def _attachments(self) -> Attachments:
        from .attachments import Attachments

        return Attachments(self._profile, self._use_network)

    @cached_property
    def _outgoing(self) -> Outgoing:
        from .outgoing import Outgoing

        return Outgoing(self._store, self._sender, self.outbox, self.reads, lambda: self._attachments, self._timeout)

    @cached_property
    def _chores(self) -> SwarmChores:
        from .chores import SwarmChores

        return SwarmChores(self._profile, self._use_network)

    # Sending.

    def resolve(self, to: str) -> AccountId:
        """The account meant by an id, a prefix of a known one, a name, or `me`.

        A name is one that we gave (see `contacts`), or else that which somebody we wrote to gives himself. Raises
        InvalidAccountId if it is none of these, AmbiguousName if several people fit.
        """
        from . import addressing

        return addressing.resolve(self._profile, to)

    def recipient(self, to: str) -> AccountId:
        """The same where something is to be written there: no name that a server gives to a room is good for that."""
        from . import addressing

        return addressing.resolve(self._profile, to, to_write=True)

    def send(
        self,
        to: str,
        body: str = "",
        *,
        attachments: Sequence[Path | OutgoingFile] = (),
        quote: int | None = None,
        queue: bool = False,
        split: bool = False,
        strip_metadata: bool = False,
        progress: ProgressReport | None = None,
    ) -> Message:
        """Send a message; returns once the recipient's swarm has proved that it holds it.

        `attachments` are uploaded first: with `split`, those that are too large in parts, and with `strip_metadata`,
        images without what is in their files beside the picture. `quote` is the local id of the message that this one
        answers. With `queue`, where the network can't be reached, the message waits in the outbox, and its status is
        `queued`; the next `send` or `receive` sends it. Raises EmptyMessage, MessageTooLong, InvalidAccountId,
        ServiceRefused; NetworkError, without `queue`; and for attachments InvalidInput, UnreadableInput,
        AttachmentTooLarge and, with `queue` too, NetworkError.
        """
        (sent,) = self.send_to_all(
            [to],
            body,
            attachments=attachments,
            quote=quote,
            queue=queue,
            split=split,
            strip_metadata=strip_metadata,
            progress=progress,
        )
        if isinstance(sent, SessionError):
            raise sent
        return sent

    def send_to_all(
        self,
        to: Sequence[str],
        body: str = "",
        *,
        attachments: Sequence[Path | OutgoingFile] = (),
        quote: int | None = None,
        queue: bool = False,
        split: bool = False,
        strip_metadata: bool = False,
        progress: ProgressReport | None = None,
    ) -> Iterator[Message | SessionError]:
        """Send one message to each of several people; yields what became of it, in their order, as it becomes known.

        All of them are looked up, and the files uploaded, before anything is sent. A NetworkError or ServiceRefused is
        yielded, for the others may fare better; everything else is raised, as `send` does. Each has `timeout`
        seconds.
        """
        recipients = list(dict.fromkeys(self.recipient(name) for name in to))
        quoted = self._row(quote) if quote is not None else None
        for sent in self._outgoing.send(
            recipients,
            body,
            files=attachments,
            quoted=quoted,
            queue=queue,
            split=split,
            strip_metadata=strip_metadata,
            progress=progress,
        ):
            yield sent if isinstance(sent, SessionError) else self._message(sent)

    @cached_property
    def outbox(self) -> Outbox:
        """The messages that wait to be sent."""
        from .outbox import Outbox

        return Outbox(self._store, self._sender, self._message, self._timeout)

    def typing_to(self, to: Sequence[str]) -> TypingSignals:
        """What tells people that we are typing to them; those who need not know are left out."""
        from .typing_signals import TypingSignals

        recipients = [self.resolve(name) for name in to]
        return TypingSignals(self._store, self.account_id, self._sender, recipients, self._timeout)

    # What is done to messages.

    def react(self, message_id: int, emoji: str | None, *, remove: bool = False) -> list[Event]:
        """Put an emoji on a message, or take it off; without one, all of ours. Returns what was done, if anything.

        Raises what `session_cli.core.reacting.Reacting` raises.
        """
        from .reacting import Reacting

        row = self._row(message_id)
        reacting: Reacting | RoomDeeds = Reacting(self._store, self.account_id, self._sender, self._timeout)
        if is_community(row.conversation):
            reacting = self._room_deeds
        if remove:
            return [self._event(done) for done in reacting.take_back(row, emoji)]
        return [self._event(done) for done in reacting.react(row, emoji or "")]

    def unsend(self, message_ids: Sequence[int], *, own_devices: bool = False) -> Iterator[Event]:
        """Delete messages of ours for everyone, or (`own_devices`) any messages on all of our own devices only.

        Yields what was done. Raises what `session_cli.core.unsending.Unsending.unsend` raises.
        """
        from .unsending import Unsending

        unsending = Unsending(self._profile, self._sender, self._chores, self._timeout)
        rows = [self._row(message_id) for message_id in dict.fromkeys(message_ids)]
        posts = [row for row in rows if is_community(row.conversation)]
        others = [row for row in rows if not is_community(row.conversation)]
        for row in others:
            unsending.check(row, own_devices=own_devices)
        if posts:
            for done in self._room_deeds.unsend(posts, self._sender, own_devices=own_devices):
                yield self._event(done)
        for done in unsending.unsend(others, own_devices=own_devices):
            yield self._event(done)

    @cached_property
    def _room_deeds(self) -> RoomDeeds:
        from .communities.deeds import RoomDeeds

        return RoomDeeds(self._profile, self._use_network, self._timeout)

    # Receiving.

    def poll(self) -> PollResult:
        """Fetch what is new from our swarm into the store. Another process that polls is waited for."""
        from ..network.clock import Deadline

        return self.inbox.poll(Deadline(self._timeout))

    def _poll(self, deadline: Deadline) -> PollResult:
        result = self._receiver.poll(deadline)
        note_network_time(self._store, self.network.clock.now_ms())
        if self._store.configs.is_due():
            self._receiver.configs.push_in_passing(deadline)
        if self._store.configs.must_be_extended(self._store.now_ms()):
            self._receiver.configs.keep_alive(deadline)
        if self._store.settings.get("groups_untaken"):
            self._receiver.configs.take_over_groups(self._store.now_ms())
        if self._store.settings.get("communities_untaken"):
            self._receiver.configs.take_over_communities()
        if self._store.groups.any():
            result += self._poll_groups(deadline)
        # Afterwards: a message that nobody takes must not keep us from receiving.
        if self._store.has_deliveries():
            self.outbox.flush_in_passing(deadline)
            self._sender.resend_left(deadline)
        if self._store.chores.any() or self._store.timers.any_waiting():
            self._chores.learn(deadline)
            self._chores.run(deadline)
        return result

    def _poll_communities(self, deadline: Deadline) -> PollResult:
        if not self._store.communities.any():
            from .receiving import PollResult

            return PollResult()
        from .communities.receiving import CommunityReceiver

        return CommunityReceiver(self._profile, self._use_network).poll(deadline)

    def _poll_groups(self, deadline: Deadline) -> PollResult:
        from .groups.receiving import GroupReceiver

        receiver = GroupReceiver(self._profile, self._use_network)
        result = receiver.poll(deadline)
        self.groups.keeper.settle_in_passing(receiver.complete, deadline)
        if self._store.configs.is_due():
            self._receiver.configs.push_in_passing(deadline)
        return result

    @cached_property
    def inbox(self) -> Inbox:
        """The events of this account, and the readers of them."""
        from .inbox import Inbox

        # Servers of communities come last: they are anybody's, and may take their time.
        return Inbox(self._profile, (self._poll, self._poll_communities), self._event)

    def batches(self, reading: Reading) -> Generator[Batch, None, None]:
        """Events in batches, for those who take several at once; see `Inbox.batches`."""
        return self.inbox.batches(reading, self._timeout)

    def receive(
        self,
        *,
        reader: str = DEFAULT_READER,
        wait: float = 0.0,
        follow: bool = False,
        interval: float = 5.0,
        most: int | None = None,
        sender: str | None = None,
        types: Sequence[str] = (),
        peek: bool = False,
        polled: Callable[[PollResult], None] | None = None,
    ) -> Generator[Event, None, None]:
        """Yield every event that `reader` has not had yet, oldest first: what is in the store, then what a poll brings.

        Each event counts as taken once the caller asks for the next one (or the iteration ends), unless `peek` is set:
        whoever dies while handling an event is given it again. With `wait`, keeps polling for that many seconds until
        there is something; with `follow`, for ever, every `interval` seconds, getting over a network that is down.
        `most` limits how many come; `sender` (named as in `send`) wants those of one person only, `types` those of some
        types (`message`, `reaction` …: see session-json(5)); the others stay unread. `polled` is told what each poll
        brought. Other processes that read as the same reader wait meanwhile.
        """
        from .inbox import Reading, select

        reading = Reading(
            reader,
            select(sender=self.resolve(sender) if sender is not None else None, types=types),
            most=most,
            wait=wait,
            follow=follow,
            interval=interval,
            peek=peek,
            polled=polled or (lambda _: None),
        )
        with closing(self.batches(reading)) as batches:
            for batch in batches:
                for event in batch.events:
                    yield event
                    batch.take([event])

    # Reading, and what disappears.

    @cached_property
    def reads(self) -> ReadState:
        """What we have read, and what others are told of it."""
        from .reading import ReadState

        return ReadState(
            self._profile, lambda: self._sender, self._chores, self.history, self._preferences, self._timeout
        )

    @cached_property
    def disappearing(self) -> Disappearing:
        """How what we write to people disappears."""
        from .disappearing import Disappearing

        return Disappearing(self._profile, lambda: self._sender, self.history, self._timeout)

    # History.

    @cached_property
    def history(self) -> History:
        """What was written, and the search in it. Reading it asks nobody and waits for nobody."""
        from .history import History

        return History(self._store, self.account_id, self._message, self.resolve)

    @cached_property
    def conversations(self) -> ConversationSwitches:
        """How conversations are treated: pinned, muted, hidden."""
        from .conversations import ConversationSwitches

        return ConversationSwitches(self._store, self.history)

    @cached_property
    def groups(self) -> Groups:
        """The groups we are in, were in, or are asked to join."""
        from .groups.groups import Groups

        return Groups(
            self._profile,
            self._use_network,
            lambda: self._sender,
            lambda: self.inbox,
            lambda: self.profiles,
            self._timeout,
        )

    @cached_property
    def communities(self) -> Communities:
        """The community rooms that we have joined."""
        from .communities.communities import Communities

        return Communities(
            self._profile, self._use_network, lambda: self._sender, lambda: self.inbox, self._message, self._timeout
        )

    @cached_property
    def contacts(self) -> Contacts:
        """The people we know, and the names that we give them."""
        from .contacts import Contacts

        return Contacts(self._profile)

    @cached_property
    def profiles(self) -> Profiles:
        """What people show of themselves: names and pictures, our own among them."""
        from .profiles import Profiles

        return Profiles(self._profile, self._use_network, self._timeout)

    @cached_property
    def requests(self) -> MessageRequests:
        """The message requests to us."""
        from .message_requests import MessageRequests

        return MessageRequests(self._profile, lambda: self._sender, self.contacts, self.message, self._timeout)

    # Messages and their files.

    @cached_property
    def files(self) -> Files:
        """The files of messages, those in parts as one; and recordings, to be sent as voice messages."""
        from ..network.clock import Deadline
        from .files import Files

        def deadline() -> Deadline:
            return Deadline(self._timeout)

        return Files(self._profile, lambda: self._attachments, deadline, self.resolve, self._tell_saved)

    def message(self, message_id: int) -> Message:
        """A message by its local id. Raises InvalidInput if there is none."""
        return self._message(self._row(message_id))

    def messages_with_attachments(self, conversation: str | None = None) -> list[Message]:
        """Messages that have files, oldest first, perhaps of one conversation (named as in `send`)."""
        address = self.resolve(conversation) if conversation is not None else None
        return [self._message(row) for row in self._store.messages.with_attachments(address)]

    def save_attachment(
        self,
        message_id: int,
        index: int,
        target: Path,
        *,
        overwrite: bool = False,
        prefix: str = "",
        progress: ProgressReport | None = None,
    ) -> Path:
        """Download, check and decrypt one attachment (`index` counts from 0) into a file; returns its path.

        A folder as `target` keeps the sender's name, made safe, after `prefix`, and numbered if it is taken. A file
        that exists is refused unless `overwrite` is set. Nothing appears under the name before the whole file is there
        and genuine.
        """
        file = self.files.attachment(message_id, index)
        return self.files.save(file, target, overwrite=overwrite, prefix=prefix, progress=progress)

    def fetch_attachment(
        self, message_id: int, index: int, write: Callable[[bytes], object], *, progress: ProgressReport | None = None
    ) -> int:
        """Download and check one attachment, then hand its plaintext to `write` in pieces. Returns its size."""
        return self.files.write(self.files.attachment(message_id, index), write, progress=progress)

    def _tell_saved(self, message_id: int) -> None:
        if not self._preferences.saved_notices:
            return
        from ..network.clock import Deadline
        from .saved_notices import tell_saved

        tell_saved(self._store, self._sender, self._row(message_id), Deadline(self._timeout))

    def _row(self, message_id: int) -> MessageRow:
        row = self._store.messages.get(message_id)
        if row is None:
            raise InvalidInput(f"There is no message {message_id}.")
        return row

    @property
    def _viewer(self) -> Viewer:
        from .model import Viewer

        return Viewer(self.account_id, self.name, self._store.now_ms(), self._name_of)

    def _name_of(self, address: str) -> str | None:
        person = self._store.people.get(address)
        return person.shown_name if person is not None else None

    def _event(self, row: EventRow) -> Event:
        return self._viewer.event(row)

    def _message(self, row: MessageRow) -> Message:
        return self._viewer.message(row)
