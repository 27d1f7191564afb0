"""Every exception this package raises, in one tree.

    SessionError
    ├── UsageError                     the caller asked for something that makes no sense
    ├── InvalidInput                   data given by the user is not what it claims to be
    │   ├── InvalidAccountId           InvalidPhrase          InvalidNetworkDefinition
    │   ├── MessageTooLong             EmptyMessage           AttachmentTooLarge
    │   ├── UnreadableInput            InvalidUrl             InvalidConfig
    │   └── BackupDamaged              AmbiguousName          InvalidPicture
    ├── ProtocolError                  bytes from somebody else break the protocol
    │   ├── DecryptionFailed           BadSignature           MalformedMessage
    │   ├── UnsupportedVersion         OnionError             RpcError
    │   └── AttachmentCorrupt
    ├── NetworkError                   temporary: trying again later may help
    │   ├── NetworkUnreachable         RequestTimeout         ClockOutOfSync
    │   ├── RateLimited                PathFailed             ProxyUnreachable
    │   ├── NodeFailed                 ServerFailed           Unconfirmed
    │   └── AnswerTooLarge
    ├── ServiceRefused                 permanent: the other side understood, and said no
    │   ├── FileGone                   FileTooLargeForServer  NotFound
    │   └── NoPermission               Banned                 BlindingRequired
    ├── HookFailed                     a command that was to handle an event did not
    ├── NotificationFailed             temporary: no desktop answers
    ├── ProgramMissing                 another program that is needed is not there
    ├── NotAdmin                       only an admin of a group may do that
    └── StoreError
        ├── NotConfigured              ProfileExists          WrongNetwork
        ├── CannotCreate
        ├── WrongKey                   StoreDamaged           StoreTooNew
        └── StoreLocked                StoreUnwritable        KeySourceFailed

Each class carries `slug`, the stable name that `--json` output shows as `error`. Which exit code belongs to
which class is decided by `session_cli.cli.exit_codes` alone.

The text of an error says what happened, why, and where possible what to do; it never holds a recovery phrase,
a key or the text of a message.
"""

from __future__ import annotations

from typing import ClassVar


class SessionError(Exception):
    """Root of all errors raised on purpose by this package."""

    slug: ClassVar[str] = "error"

    @property
    def message(self) -> str:
        """One line for a person: what, why, what to do."""
        return str(self)


class UsageError(SessionError):
    """The combination of arguments makes no sense."""

    slug = "usage"


class InvalidInput(SessionError):
    """Something the user gave is not what it should be."""

    slug = "invalid_input"


class InvalidAccountId(InvalidInput):
    """Not an account id: wrong length, wrong characters, wrong prefix or no point of the curve."""

    slug = "invalid_account_id"


class AmbiguousName(InvalidInput):
    """A name, or the beginning of an id, could mean several people. The text lists them."""

    slug = "ambiguous_name"


class InvalidPhrase(InvalidInput):
    """Not a recovery phrase. The text never quotes more than one offending word."""

    slug = "invalid_phrase"


class InvalidNetworkDefinition(InvalidInput):
    """A network definition can't be read or lacks something."""

    slug = "invalid_network_definition"


class InvalidConfig(InvalidInput):
    """The configuration file holds something that it should not. The text names file, line and key."""

    slug = "invalid_config"


class InvalidUrl(InvalidInput):
    """A download address is not one that this client understands."""

    slug = "invalid_url"


class EmptyMessage(InvalidInput):
    """There is nothing to send."""

    slug = "empty_message"


class MessageTooLong(InvalidInput):
    """A message body is over the protocol's limit."""

    slug = "message_too_long"


class AttachmentTooLarge(InvalidInput):
    """A file is over what the network's file server takes."""

    slug = "attachment_too_large"


class UnreadableInput(InvalidInput):
    """A file or stream named by the user can't be read."""

    slug = "unreadable_input"


class InvalidPicture(InvalidInput):
    """A file can't become a profile picture: it is no image of a known format, broken, or too large."""

    slug = "invalid_picture"


class BackupDamaged(InvalidInput):
    """A file is no backup, or not what was written: damaged, cut short or tampered with."""

    slug = "backup_damaged"


class ProtocolError(SessionError):
    """Bytes received from somebody else break the protocol."""

    slug = "protocol_error"


class DecryptionFailed(ProtocolError):
    """A ciphertext is not for us, was damaged or was forged."""

    slug = "decryption_failed"


class BadSignature(ProtocolError):
    """A signature does not verify."""

    slug = "bad_signature"


class MalformedMessage(ProtocolError):
    """A decrypted or plain structure can't be parsed, or lacks what it must have."""

    slug = "malformed_message"


class UnsupportedVersion(ProtocolError):
    """Data of a protocol version that this client does not speak."""

    slug = "unsupported_version"


class OnionError(ProtocolError):
    """An onion request or reply is not well formed, or does not decrypt."""

    slug = "onion_error"


class RpcError(ProtocolError):
    """A storage server's answer is not what the method promises."""

    slug = "rpc_error"


class AttachmentCorrupt(ProtocolError):
    """A downloaded file was truncated or tampered with."""

    slug = "attachment_corrupt"


class NetworkError(SessionError):
    """Temporary trouble on the way; trying again later may help."""

    slug = "network_error"


class NetworkUnreachable(NetworkError):
    """No seed, guard or server could be reached."""

    slug = "network_unreachable"


class RequestTimeout(NetworkError):
    """The answer did not come in time."""

    slug = "timeout"


class PathFailed(NetworkError):
    """An onion path failed on the way; another path may work.

    `node` is the Ed25519 key (hex) of the hop that is to blame, where the error says so.
    """

    slug = "path_failed"

    def __init__(self, message: str, *, node: str | None = None) -> None:
        super().__init__(message)
        self.node = node


class ProxyUnreachable(NetworkUnreachable):
    """The proxy through which everything has to go can't be reached, so that nothing else needs to be tried."""

    slug = "proxy_unreachable"


class NodeFailed(NetworkError):
    """A service node answered, but with trouble of its own, or with something that can't be true."""

    slug = "node_failed"


class ServerFailed(NetworkError):
    """A community server answered, but with trouble of its own, or with something that can't be true."""

    slug = "server_failed"


class AnswerTooLarge(PathFailed):
    """More came than was to be expected, from a server or from a guard in its place. Less may be asked for."""

    slug = "answer_too_large"


class Unconfirmed(NetworkError):
    """A request that must not be made twice got no answer: it may have been carried out, or not."""

    slug = "unconfirmed"


class ClockOutOfSync(NetworkError):
    """The network's clock and ours differ too much for signatures to be accepted."""

    slug = "clock_out_of_sync"


class RateLimited(NetworkError):
    """The other side asks us to slow down."""

    slug = "rate_limited"


class ServiceRefused(SessionError):
    """A service understood the request and refused it for good."""

    slug = "refused"

    def __init__(self, message: str, *, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class FileGone(ServiceRefused):
    """The file server has no such file (any more)."""

    slug = "file_gone"


class FileTooLargeForServer(ServiceRefused):
    """The file server refuses a file of this size."""

    slug = "file_too_large_for_server"


class NotFound(ServiceRefused):
    """A community server has no such room, message or person (any more), or hides it from us."""

    slug = "not_found"


class NoPermission(ServiceRefused):
    """A community server does not let us do that."""

    slug = "no_permission"


class Banned(NoPermission):
    """A community server lets us do nothing at all."""

    slug = "banned"


class BlindingRequired(ServiceRefused):
    """A community server wants to know us by a blinded id; the request has to be made again with one."""

    slug = "blinding_required"


class HookFailed(SessionError):
    """A command that was to handle an event failed; the event stays unread."""

    slug = "hook_failed"


class NotAdmin(SessionError):
    """Only an admin of the group may do that."""

    slug = "not_admin"


class NotificationFailed(SessionError):
    """Nothing can be shown on the desktop; the events stay unread."""

    slug = "notification_failed"


class ProgramMissing(SessionError):
    """A program that does a part of the work is not installed, or can't be run."""

    slug = "program_missing"


class StoreError(SessionError):
    """Something about the profile on this machine."""

    slug = "store_error"


class NotConfigured(StoreError):
    """The profile does not exist."""

    slug = "no_account"


class ProfileExists(StoreError):
    """A profile of that name is there already; it is never overwritten."""

    slug = "profile_exists"


class CannotCreate(StoreError):
    """A file that the user asked for exists already, and is left as it is, or its folder doesn't exist."""

    slug = "cannot_create"


class WrongNetwork(StoreError):
    """The profile belongs to another network than the one asked for."""

    slug = "wrong_network"


class WrongKey(StoreError):
    """The passphrase, key file, keyring or command gave a key that does not open the store."""

    slug = "wrong_key"


class KeySourceFailed(StoreError):
    """The key could not be obtained: no passphrase given, key file missing, keyring locked, command failed."""

    slug = "key_unavailable"


class StoreDamaged(StoreError):
    """The database or its header is not what was written."""

    slug = "store_damaged"


class StoreTooNew(StoreError):
    """The database was written by a later version of this program."""

    slug = "store_too_new"


class StoreLocked(StoreError):
    """Another process holds the store for longer than we wait."""

    slug = "store_locked"


class StoreUnwritable(StoreError):
    """Disk full, read-only, or no permission."""

    slug = "store_unwritable"
