"""Plays the histories of groups in `groups.json`: several admins and members, and a swarm between them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from session_cli.errors import ProtocolError
from session_cli.protocol.account import AccountId, Identity
from session_cli.protocol.config import dump as config_dump
from session_cli.protocol.config import message as messages
from session_cli.protocol.config import sealing
from session_cli.protocol.config.fields import Picture
from session_cli.protocol.config.group_info import GroupInfo
from session_cli.protocol.config.group_members import GroupMembers, Member, Offer
from session_cli.protocol.config.kinds import ConfigKind
from session_cli.protocol.config.state import ConfigKeys, ConfigState
from session_cli.protocol.group import dump
from session_cli.protocol.group.identity import GroupIdentity
from session_cli.protocol.group.keys import GroupKeys, StoredKeys
from session_cli.protocol.group.messages import decrypt, encrypt

INFO, MEMBERS = ConfigKind.GROUP_INFO, ConfigKind.GROUP_MEMBERS
KINDS = {"info": INFO, "members": MEMBERS}
MARKS = {
    "invite_sent": lambda member: member.with_invitation(Offer.SENT),
    "invite_failed": lambda member: member.with_invitation(Offer.FAILED),
    "invite_accepted": lambda member: member.with_invitation(Offer.ACCEPTED),
    "promoted": lambda member: member.with_promotion(Offer.NOT_SENT),
    "promotion_sent": lambda member: member.with_promotion(Offer.SENT),
    "promotion_failed": lambda member: member.with_promotion(Offer.FAILED),
    "promotion_accepted": lambda member: member.with_promotion(Offer.ACCEPTED),
    "removed": lambda member: member.removed(),
    "removed_with_messages": lambda member: member.removed(with_messages=True),
}


@dataclass
class Client:
    """One client of the group."""

    identity: Identity
    group: GroupIdentity | None
    keys: GroupKeys
    info: ConfigState
    members: ConfigState

    @property
    def config_keys(self) -> ConfigKeys:
        return self.keys.config_keys(self.group)

    def state(self, kind: ConfigKind) -> ConfigState:
        return self.info if kind is INFO else self.members

    def put(self, kind: ConfigKind, state: ConfigState) -> None:
        assert config_dump.load(kind, config_dump.dump(state)) == state
        if kind is INFO:
            self.info = state
        else:
            self.members = state


class Script:
    """Plays the steps of one vector. What is kept of it is dumped and loaded between the steps."""

    def __init__(self, vector: dict[str, Any]) -> None:
        self.group = GroupIdentity.from_seed(bytes.fromhex(vector["group_seed"]))
        assert self.group.group_id == vector["group_id"]
        assert self.group.ed25519_public.hex() == vector["group_ed25519_pk"]
        assert self.group.x25519_public.hex() == vector["group_x25519_pk"]
        self.stored: dict[str, bytes] = {}
        self.plaintexts: dict[str, bytes] = {}
        self.clients: dict[str, Client] = {}
        for name, client in vector["clients"].items():
            identity = Identity.from_seed(bytes.fromhex(client["seed"]))
            assert identity.account_id == client["account_id"]
            self.clients[name] = Client(
                identity,
                self.group if client["has_group_secret_key"] else None,
                GroupKeys(self.group.group_id),
                ConfigState(INFO),
                ConfigState(MEMBERS),
            )

    def play(self, step: dict[str, Any]) -> None:
        if step["op"] == "given":
            self.stored[step["as"]] = bytes.fromhex(step["message"])
            return
        client = self.clients[step["client"]]
        getattr(self, step["op"])(client, step)
        assert dump.load(self.group.group_id, dump.dump(client.keys)) == client.keys
        if "keys" in step:
            assert [key.hex() for key in client.keys.encryption_keys] == step["keys"]

    def apply_info(self, client: Client, step: dict[str, Any]) -> None:
        view = GroupInfo(client.info.data)
        for change in step["changes"]:
            match change["op"]:
                case "set_name":
                    view = view.with_name(change["name"])
                case "set_description":
                    view = view.with_description(change["description"])
                case "set_profile_pic":
                    view = view.with_picture(_picture(change["profile_pic"]))
                case "set_expiry_timer":
                    view = view.with_timer(change["seconds"])
                case "set_created":
                    view = view.with_created(change["timestamp"])
                case "set_delete_before":
                    view = view.with_delete_before(change["timestamp"])
                case "set_delete_attach_before":
                    view = view.with_delete_attachments_before(change["timestamp"])
                case "destroy":
                    view = view.destroyed()
                case unknown:
                    raise LookupError(unknown)
        client.info = client.info.with_data(view.data)

    def apply_members(self, client: Client, step: dict[str, Any]) -> None:
        view = GroupMembers(client.members.data)
        for change in step["changes"]:
            account_id = AccountId(change["account_id"])
            if change["op"] == "erase_member":
                view = view.without_member(account_id)
                continue
            member = view.get(account_id) or Member(account_id)
            given = {name: change[name] for name in ("name", "admin", "supplement") if name in change}
            if "profile_pic" in change:
                given["picture"] = _picture(change["profile_pic"])
            member = replace(member, **given)
            if "mark" in change:
                member = MARKS[change["mark"]](member)
            view = view.with_member(member)
            assert view.get(account_id) in (member, replace(member, invitation=Offer.ACCEPTED))
        client.members = client.members.with_data(view.data)

    def rekey(self, client: Client, step: dict[str, Any]) -> None:
        assert client.group
        client.keys = client.keys.rekey(client.group, GroupMembers(client.members.data).ids)
        client.info, client.members = client.info.renewed(), client.members.renewed()
        pending = client.keys.pending
        assert pending
        assert pending.message.hex() == step["message"]
        assert (pending.generation, pending.key.hex()) == (step["generation"], step["new_key"])
        assert (client.info.needs_push, client.members.needs_push) == (
            step["info_needs_push"],
            step["members_needs_push"],
        )
        self.stored[step["as"]] = pending.message

    def supplement(self, client: Client, step: dict[str, Any]) -> None:
        assert client.group
        message = client.keys.supplement(client.group, list(map(AccountId, step["account_ids"])))
        assert message.hex() == step["message"]
        self.stored[step["as"]] = message

    def load_keys(self, client: Client, step: dict[str, Any]) -> None:
        message = StoredKeys(step["message"], step["timestamp_ms"], self.stored[step["message"]])
        before = client.keys
        loaded = before.load_all([message], client.identity, client.group)
        result = step["result"]
        assert [name for name, _ in loaded.refused] == ([message.hash] if result == "error" else [])
        assert loaded.accepted == (() if result == "error" else (message.hash,))
        assert loaded.found == ((message.hash,) if result is True else ())
        if result == "error":
            assert loaded.keys == before
        client.keys = loaded.keys
        assert client.keys.generation == step["generation"]
        assert (client.group is not None and client.keys.needs_rekey) is step["needs_rekey"]
        assert sorted(client.keys.active_hashes) == step["active_hashes"]

    def load_admin_key(self, client: Client, step: dict[str, Any]) -> None:
        group = GroupIdentity.from_seed(bytes.fromhex(step["group_seed"]))
        assert (group == self.group) is step["ok"]
        if step["ok"]:
            client.group = group
        assert (client.group is not None) is step["admin"]

    def push_info(self, client: Client, step: dict[str, Any]) -> None:
        self._push(client, INFO, step)

    def push_members(self, client: Client, step: dict[str, Any]) -> None:
        self._push(client, MEMBERS, step)

    def _push(self, client: Client, kind: ConfigKind, step: dict[str, Any]) -> None:
        pushed = client.state(kind).push(client.config_keys, 0)
        message = pushed.state.message
        assert isinstance(message, messages.ConfigMessage)
        assert messages.serialize(message).hex() == step["plaintext"]
        assert (pushed.seqno, sorted(pushed.obsolete)) == (step["seqno"], step["obsolete_hashes"])
        assert client.keys.encryption_keys[0].hex() == step["encryption_key"]
        (stored,) = pushed.messages
        assert stored.hex() == step["message"]
        padded = sealing.decrypt(stored, client.keys.encryption_keys[0], kind.domain)
        assert (len(padded), sealing.unpad(padded).startswith(b"z")) == (step["padded_size"], step["compressed"])
        self.stored[step["as"]] = stored
        self.plaintexts[step["as"]] = messages.serialize(message)
        client.put(kind, pushed.state)

    def confirm_info(self, client: Client, step: dict[str, Any]) -> None:
        client.info = client.info.confirm_pushed(step["seqno"], [step["hash"]])
        assert client.info.needs_push is step["needs_push"]

    def confirm_members(self, client: Client, step: dict[str, Any]) -> None:
        client.members = client.members.confirm_pushed(step["seqno"], [step["hash"]])
        assert client.members.needs_push is step["needs_push"]

    def merge_info(self, client: Client, step: dict[str, Any]) -> None:
        self._merge(client, INFO, step)
        view = GroupInfo(client.info.data)
        if "state" in step:
            assert step["state"] == {
                "name": view.name or None,
                "description": view.description or None,
                "profile_pic": _picture_json(view.picture),
                "expiry_seconds": view.timer or None,
                "created": view.created or None,
                "delete_before": view.delete_before or None,
                "delete_attach_before": view.delete_attachments_before or None,
                "destroyed": view.is_destroyed,
            }

    def merge_members(self, client: Client, step: dict[str, Any]) -> None:
        self._merge(client, MEMBERS, step)
        if "state" in step:
            assert step["state"] == [
                {
                    "account_id": member.account_id,
                    "name": member.name,
                    "profile_pic": _picture_json(member.picture),
                    "admin": member.admin,
                    "supplement": member.supplement,
                    "invite_status": member.invitation,
                    "promotion_status": member.promotion,
                    "removed_status": member.removal,
                }
                for member in GroupMembers(client.members.data)
            ]

    def _merge(self, client: Client, kind: ConfigKind, step: dict[str, Any]) -> None:
        found = [(name, self.stored[name]) for name in step["messages"]]
        state = client.state(kind)
        merged = state.merge(found, client.config_keys, 0)
        assert sorted(merged.accepted) == step["accepted"]
        assert merged.state.seqno == step["seqno"]
        if isinstance(state.message, messages.Draft) and any(
            self.plaintexts.get(name) == messages.serialize(state.message.finish(client.config_keys.sign))
            for name in step["messages"]
        ):
            # Another admin has pushed the very same: the library goes on waiting, here that is a confirmation.
            assert merged.state.current_hashes == set(step["messages"])
        else:
            assert merged.state.needs_push is step["needs_push"]
            assert sorted(merged.state.current_hashes) == step["current_hashes"]
        client.put(kind, merged.state)

    def encrypt(self, client: Client, step: dict[str, Any]) -> None:
        key = client.keys.encryption_keys[0]
        assert key.hex() == step["encryption_key"]
        self.stored[step["as"]] = bytes.fromhex(step["message"])
        if step["compress"] and step["padding"] == 256:
            plaintext, nonce = bytes.fromhex(step["plaintext"]), bytes.fromhex(step["nonce"])
            made = encrypt(client.identity, self.group.group_id, key, plaintext, nonce=nonce)
            assert made.hex() == step["message"]

    def decrypt(self, client: Client, step: dict[str, Any]) -> None:
        stored = self.stored[step["message"]]
        try:
            found = decrypt(self.group.group_id, client.keys.encryption_keys, stored)
        except ProtocolError:
            assert not step["valid"]
            return
        assert step["valid"]
        assert (found.sender_id, found.plaintext.hex()) == (step["sender"], step["plaintext"])


def _picture(given: Any) -> Picture | None:
    return Picture(given["url"], bytes.fromhex(given["key"])) if given else None


def _picture_json(picture: Picture | None) -> Any:
    return {"url": picture.url, "key": picture.key.hex()} if picture else None
