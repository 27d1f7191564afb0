"""Devices that play the histories of the vectors: their changes through the typed views, their states as JSON."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from session_cli.protocol.config.contacts import Contact, Contacts
from session_cli.protocol.config.convo_info_volatile import ConversationKind, ConvoInfoVolatile, ReadState
from session_cli.protocol.config.fields import NotifyMode, Picture
from session_cli.protocol.config.kinds import ConfigKind
from session_cli.protocol.config.tree import Tree
from session_cli.protocol.config.user_groups import Community, Group, LegacyGroup, LegacyKeys, UserGroups
from session_cli.protocol.config.user_profile import UserProfile
from session_cli.protocol.payload import Expiration, ExpirationMode

Change = Mapping[str, Any]
MODES = {0: ExpirationMode.OFF, 1: ExpirationMode.AFTER_SEND, 2: ExpirationMode.AFTER_READ}
CONVERSATIONS = {
    "1to1": ConversationKind.ONE_TO_ONE,
    "group": ConversationKind.GROUP,
    "legacy_group": ConversationKind.LEGACY_GROUP,
}


def _picture(given: Any) -> Picture | None:
    return Picture(given["url"], bytes.fromhex(given["key"])) if given else None


def _picture_json(picture: Picture | None) -> Any:
    return {"url": picture.url, "key": picture.key.hex()} if picture else None


def _hex(value: bytes | None) -> str | None:
    return value.hex() if value else None


def change_profile(data: Tree, change: Change, now_ms: int) -> Tree:
    """A change of a profile, without the times that libraries of January 2025 did not write."""
    view = UserProfile(data)
    match change["op"]:
        case "set_name":
            view = view.with_name(change["name"], now_ms // 1000)
        case "set_profile_pic":
            view = view.with_picture(_picture(change["profile_pic"]), now_ms // 1000)
        case "set_nts_priority":
            view = view.with_note_to_self_priority(change["priority"])
        case "set_nts_expiry":
            view = view.with_note_to_self_expiry(change["seconds"])
        case "set_blinded_msgreqs":
            view = view.with_blinded_requests(change["enabled"], now_ms // 1000)
        case other:
            raise LookupError(other)
    return view.data.with_value([b"t"], None)


def profile_state(data: Tree) -> Any:
    view = UserProfile(data)
    return {
        "name": view.name or None,
        "profile_pic": _picture_json(view.picture),
        "nts_priority": view.note_to_self_priority,
        "nts_expiry": view.note_to_self_expiry or None,
        "blinded_msgreqs": view.blinded_requests,
    }


def change_contacts(data: Tree, change: Change, now_ms: int) -> Tree:
    view = Contacts(data)
    if change["op"] == "erase_contact":
        return view.without_contact(change["account_id"]).data
    contact = view.get(change["account_id"]) or Contact(change["account_id"])
    names = {"muted_until": "mute_until"}
    for name in ("name", "nickname", "approved", "approved_me", "blocked", "priority", "created", "muted_until"):
        given = names.get(name, name)
        if given in change:
            contact = replace(contact, **{name: change[given]})
    if "profile_pic" in change:
        contact = replace(contact, picture=_picture(change["profile_pic"]))
    if "notifications" in change:
        contact = replace(contact, notify=NotifyMode(change["notifications"]))
    if "expiry_mode" in change:
        expiration = Expiration(MODES[change["expiry_mode"]], change["expiry_seconds"])
        contact = replace(contact, expiration=expiration)
    return view.with_contact(contact).data


def contacts_state(data: Tree) -> Any:
    return [
        {
            "account_id": contact.account_id,
            "name": contact.name,
            "nickname": contact.nickname,
            "profile_pic": _picture_json(contact.picture),
            "approved": contact.approved,
            "approved_me": contact.approved_me,
            "blocked": contact.blocked,
            "priority": contact.priority,
            "notifications": contact.notify,
            "mute_until": contact.muted_until,
            "expiry_mode": next(number for number, mode in MODES.items() if mode is contact.expiration.mode),
            "expiry_seconds": contact.expiration.seconds,
            "created": contact.created,
        }
        for contact in Contacts(data)
    ]


def change_conversations(data: Tree, change: Change, now_ms: int) -> Tree:
    view = ConvoInfoVolatile(data)
    action, _, what = change["op"].partition("_")
    if what == "community":
        where = change["base_url"], change["room"]
        if action == "erase":
            return view.without_community(*where).data
        state = _read_state(view.community(*where), change)
        return view.with_community(*where, bytes.fromhex(change["pubkey"]), state, now_ms).data
    kind, conversation_id = CONVERSATIONS[what], change.get("account_id") or change["group_id"]
    if action == "erase":
        return view.without(kind, conversation_id).data
    return view.with_read(kind, conversation_id, _read_state(view.get(kind, conversation_id), change), now_ms).data


def _read_state(known: ReadState | None, change: Change) -> ReadState:
    known = known or ReadState()
    return ReadState(change.get("last_read", known.last_read_ms), change.get("unread", known.unread))


def conversations_state(data: Tree) -> Any:
    view = ConvoInfoVolatile(data)

    def entries(kind: ConversationKind, name: str) -> Any:
        return [{name: found, **_read_json(state)} for found, state in view.items(kind)]

    return {
        "one_to_one": entries(ConversationKind.ONE_TO_ONE, "account_id"),
        "communities": [
            {"base_url": room.base_url, "room": room.name, "pubkey": room.server_key.hex(), **_read_json(state)}
            for room, state in view.communities()
        ],
        "groups": entries(ConversationKind.GROUP, "group_id"),
        "legacy_groups": entries(ConversationKind.LEGACY_GROUP, "group_id"),
    }


def _read_json(state: ReadState) -> Any:
    return {"last_read": state.last_read_ms, "unread": state.unread}


def change_groups(data: Tree, change: Change, now_ms: int) -> Tree:
    view = UserGroups(data)
    common: dict[str, Any] = {name: change[name] for name in ("priority", "joined_at", "invited") if name in change}
    if "mute_until" in change:
        common["muted_until"] = change["mute_until"]
    if "notifications" in change:
        common["notify"] = NotifyMode(change["notifications"])
    if "name" in change:
        common["name"] = change["name"]
    match change["op"]:
        case "erase_group":
            return view.without_group(change["group_id"]).data
        case "erase_community":
            return view.without_community(change["base_url"], change["room"]).data
        case "erase_legacy_group":
            return view.without_legacy_group(change["group_id"]).data
        case "set_group":
            return _set_group(view, change, common).data
        case "set_legacy_group":
            return _set_legacy_group(view, change, common).data
        case "set_community":
            community = view.community(change["base_url"], change["room"]) or Community(
                base_url=change["base_url"], room=change["room"], server_key=bytes.fromhex(change["pubkey"])
            )
            return view.with_community(replace(community, room=change["room"], **common)).data
        case other:
            raise LookupError(other)


def _set_group(view: UserGroups, change: Change, common: Mapping[str, Any]) -> UserGroups:
    group = replace(view.group(change["group_id"]) or Group(group_id=change["group_id"]), **common)
    if change.get("secret_seed"):
        group = replace(group, seed=bytes.fromhex(change["secret_seed"]))
    if change.get("auth_data"):
        group = replace(group, auth_data=bytes.fromhex(change["auth_data"]))
    marks: dict[Any, Callable[[], Group]] = {
        "kicked": group.kicked,
        "destroyed": group.destroyed,
        "invited": group.invited_again,
        None: lambda: group,
    }
    return view.with_group(marks[change.get("mark")]())


def _set_legacy_group(view: UserGroups, change: Change, common: Mapping[str, Any]) -> UserGroups:
    known = {group.group_id: group for group in view.legacy_groups()}
    group = replace(known.get(change["group_id"]) or LegacyGroup(group_id=change["group_id"]), **common)
    if "enc_pk" in change:
        group = replace(group, keys=LegacyKeys(bytes.fromhex(change["enc_pk"]), bytes.fromhex(change["enc_sk"])))
    if "expiry_seconds" in change:
        group = replace(group, timer=change["expiry_seconds"])
    members, admins = set(change.get("members", [])), set(change.get("admins", []))
    gone = set(change.get("remove", []))
    group = replace(
        group,
        members=(group.members | members) - gone - admins,
        admins=(group.admins | admins) - gone - members,
    )
    return view.with_legacy_group(group)


def groups_state(data: Tree) -> Any:
    view = UserGroups(data)

    def common(entry: Group | Community | LegacyGroup) -> Any:
        return {
            "priority": entry.priority,
            "joined_at": entry.joined_at,
            "notifications": entry.notify,
            "mute_until": entry.muted_until,
            "invited": entry.invited,
        }

    return {
        "groups": [
            {
                "group_id": group.group_id,
                "name": group.name,
                "secret_seed": _hex(group.seed),
                "auth_data": _hex(group.auth_data),
                "removed_status": group.removed,
                **common(group),
            }
            for group in view.groups()
        ],
        "communities": [
            {
                "base_url": community.base_url,
                "room": community.room,
                "pubkey": community.server_key.hex(),
                **common(community),
            }
            for community in view.communities()
        ],
        "legacy_groups": [
            {
                "group_id": group.group_id,
                "name": group.name,
                "enc_pk": _hex(group.keys.public if group.keys else None),
                "enc_sk": _hex(group.keys.secret if group.keys else None),
                "members": sorted(group.members),
                "admins": sorted(group.admins),
                "expiry_seconds": group.timer,
                **common(group),
            }
            for group in view.legacy_groups()
        ],
    }


CHANGES: dict[ConfigKind, Callable[[Tree, Change, int], Tree]] = {
    ConfigKind.USER_PROFILE: change_profile,
    ConfigKind.CONTACTS: change_contacts,
    ConfigKind.CONVO_INFO_VOLATILE: change_conversations,
    ConfigKind.USER_GROUPS: change_groups,
}
STATES: dict[ConfigKind, Callable[[Tree], Any]] = {
    ConfigKind.USER_PROFILE: profile_state,
    ConfigKind.CONTACTS: contacts_state,
    ConfigKind.CONVO_INFO_VOLATILE: conversations_state,
    ConfigKind.USER_GROUPS: groups_state,
}
