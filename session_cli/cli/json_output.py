"""What `--json` prints: objects by the contract of json_schema.json and session-json(5)."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..core.model import (
        Attachment,
        Community,
        CommunityMember,
        Contact,
        Conversation,
        ConversationState,
        Event,
        Group,
        GroupMember,
        Message,
        Party,
    )

JSON_VERSION = 1
EXCERPT = 200
"""Characters of a quoted message."""


def iso_time(milliseconds: int) -> str:
    """RFC 3339 in UTC with milliseconds."""
    seconds, rest = divmod(milliseconds, 1000)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{rest:03d}Z"


def json_object(type: str, **fields: Any) -> dict[str, Any]:
    """An object of the contract."""
    return {"v": JSON_VERSION, "type": type, **fields}


def json_line(value: dict[str, Any]) -> str:
    """An object as text, without the end of its line."""
    import json

    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    # Control characters and line ends to some readers, though not to JSON.
    return re.sub("[\x7f-\x9f\u2028\u2029]", lambda match: f"\\u{ord(match[0]):04x}", text)


def message_json(message: Message) -> dict[str, Any]:
    """A message, or a notice between messages, as `--json` shows it."""
    common: dict[str, Any] = {
        "id": message.id,
        "hash": message.hash,
        "direction": message.direction,
        "conversation": place_json(message.conversation),
        "sender": party_json(message.sender),
        "timestamp": iso_time(message.timestamp_ms),
        "timestamp_ms": message.timestamp_ms,
    }
    state = {"expires": _expires_json(message), "request": message.request}
    content = message.content
    match message.kind:
        case "message":
            return json_object("message", **common, **_written_json(message), **state, status=message.status)
        case "expiration_update":
            rule = {"mode": content["mode"], "seconds": content["seconds"]}
            return json_object("expiration_update", **common, **rule, **state, status=message.status)
        case "media_saved":
            return json_object("media_saved", **common, target=_saved_json(message), **state)
        case "group_update":
            # What the group itself says was done by an admin, and nobody can tell by which.
            common["sender"] = party_json(message.sender) if message.sender.type != "group" else None
            return json_object("group_update", **common, **_group_change_json(message), **state)
        case "community_update":
            change = {key: content.get(key) for key in ("change", "name", "write", "upload", "role")}
            return json_object("community_update", **{**common, "sender": None}, **change, **state)
        case "unknown":
            return json_object("unknown", **common, reason=content["reason"], **state)
        case _:
            call = {"call_id": content["call_id"], "state": content["state"]}
            return json_object("call", **common, **call, **state)


def _written_json(message: Message) -> dict[str, Any]:
    quote, preview, invitation = message.quote, message.preview, message.invitation
    return {
        "body": message.body,
        "attachments": [attachment_json(attachment) for attachment in message.attachments],
        "quote": (
            {
                "sender": party_json(quote.author),
                "timestamp_ms": quote.timestamp_ms,
                "id": quote.id,
                "excerpt": quote.body[:EXCERPT] if quote.body is not None else None,
            }
            if quote
            else None
        ),
        "preview": {"url": preview.url, "title": preview.title} if preview else None,
        "invitation": {"url": invitation.url, "name": invitation.name} if invitation else None,
        "reactions": [
            {"emoji": reaction.emoji, "senders": [party_json(sender) for sender in reaction.senders]}
            for reaction in message.reactions
        ],
        "mentions": [party_json(party) for party in message.mentions],
        "mentioned": message.mentioned,
        "read": message.read,
        "deleted": message.deleted,
        "whisper": bool(message.content.get("whisper")),
    }


def _expires_json(message: Message) -> dict[str, Any] | None:
    if not message.expire_s:
        return None
    at = iso_time(message.expires_ms) if message.expires_ms is not None else None
    return {"mode": message.expire_mode, "seconds": message.expire_s, "at": at}


def _saved_json(message: Message) -> dict[str, Any] | None:
    """The message whose file was saved, if the notice names one."""
    timestamp_ms = message.content["timestamp_ms"]
    return {"timestamp_ms": timestamp_ms} if timestamp_ms else None


def _group_change_json(message: Message) -> dict[str, Any]:
    """What changed in a group, with the same keys for all changes."""
    content = message.content
    return {
        "change": content["change"],
        "members": [{"id": member["id"], "name": member["name"]} for member in content.get("members", ())],
        "name": content.get("name"),
        "text": content.get("text"),
        "history": content.get("history", False),
    }


def event_json(event: Event) -> dict[str, Any]:
    """An event of the log as `--json` shows it."""
    if event.is_entry and event.message is not None:
        return message_json(event.message)
    if event.type == "unknown":
        # It can't even be known from whom it is.
        return json_object(
            "unknown",
            id=None,
            hash=event.content["hash"],
            direction=event.direction,
            conversation=None,
            sender=None,
            timestamp=iso_time(event.timestamp_ms),
            timestamp_ms=event.timestamp_ms,
            reason=event.content["reason"],
            expires=None,
            request=False,
        )
    return json_object(
        event.type,
        direction=event.direction,
        conversation=place_json(event.conversation) if event.conversation else None,
        sender=party_json(event.sender) if event.sender and event.sender.type != "community" else None,
        timestamp=iso_time(event.timestamp_ms),
        timestamp_ms=event.timestamp_ms,
        **({"target": target_json(event.message)} if event.message is not None else {}),
        **event.content,
    )


def target_json(message: Message) -> dict[str, Any]:
    """A message to which something happened."""
    return {"id": message.id, "sender": party_json(message.sender), "timestamp_ms": message.timestamp_ms}


def conversation_json(conversation: Conversation) -> dict[str, Any]:
    """A conversation as `list --json` shows it."""
    last, state = conversation.last_message, conversation.state
    return json_object(
        "conversation",
        conversation=place_json(conversation.party),
        last_message=message_json(last) if last else None,
        unread=conversation.unread,
        request=conversation.request,
        pinned=state.pinned,
        muted=state.muted,
        muted_until=_moment(state.muted_until_ms),
        marked_unread=state.marked_unread,
        hidden=state.hidden,
    )


def contact_json(contact: Contact) -> dict[str, Any]:
    """A person as `--json` shows it; see session-json(5)."""
    return json_object(
        "contact",
        id=contact.id,
        name=contact.name,
        nickname=contact.nickname,
        profile_name=contact.profile_name,
        approved=contact.approved,
        approved_me=contact.approved_me,
        blocked=contact.blocked,
        request=contact.request,
        picture=contact.picture,
        pinned=contact.pinned,
        muted=contact.muted,
        muted_until=_moment(contact.muted_until_ms),
        hidden=contact.hidden,
    )


def group_json(group: Group) -> dict[str, Any]:
    """A group as `--json` shows it; see session-json(5)."""
    return json_object(
        "group",
        id=group.id,
        name=group.name,
        description=group.description,
        state=group.state,
        members=group.members,
        created=_moment(group.created_ms),
        created_ms=group.created_ms,
        joined=_moment(group.joined_ms),
        joined_ms=group.joined_ms,
        timer=group.timer_s,
        picture=group.picture,
        inviter=party_json(group.inviter) if group.inviter else None,
        waiting=group.waiting,
        pinned=group.pinned,
        muted=group.muted,
        muted_until=_moment(group.muted_until_ms),
        hidden=group.hidden,
    )


def group_member_json(group: Group, member: GroupMember) -> dict[str, Any]:
    """A member of a group as `--json` shows it."""
    return json_object(
        "group_member",
        conversation={"type": "group", "id": group.id, "name": group.name},
        **party_json(member.party),
        status=member.status,
        admin=member.admin,
    )


def community_json(community: Community) -> dict[str, Any]:
    """A room as `--json` shows it; see session-json(5)."""
    return json_object(
        "community",
        id=community.id,
        url=community.url,
        name=community.name,
        description=community.description,
        state=community.state,
        write=community.write,
        upload=community.upload,
        role=community.role,
        active_users=community.active_users,
        created=_moment(community.created_ms),
        created_ms=community.created_ms,
        pinned_messages=list(community.pinned),
        pinned_ids=list(community.pinned_ids),
        muted=community.muted,
        muted_until=_moment(community.muted_until_ms),
        hidden=community.hidden,
        problem=community.problem,
    )


def community_member_json(community: Community, member: CommunityMember) -> dict[str, Any]:
    """Somebody in a room as `--json` shows it."""
    return json_object(
        "community_member",
        conversation={"type": "community", "id": community.id, "name": community.name},
        id=member.id,
        name=member.name,
        account=member.account,
        role=member.role,
        hidden=member.hidden,
        banned=member.banned,
        banned_until=_moment(member.banned_until_ms),
    )


def conversation_state_json(place: Party, state: ConversationState) -> dict[str, Any]:
    """How a conversation is treated, as `--json` shows it."""
    return json_object(
        "conversation_state",
        conversation=place_json(place),
        pinned=state.pinned,
        muted=state.muted,
        muted_until=_moment(state.muted_until_ms),
        hidden=state.hidden,
        marked_unread=state.marked_unread,
    )


def _moment(milliseconds: int | None) -> str | None:
    return iso_time(milliseconds) if milliseconds is not None else None


def party_json(party: Party) -> dict[str, Any]:
    """A person inside another object."""
    return {"id": party.id, "name": party.name}


def place_json(party: Party) -> dict[str, Any]:
    """A conversation inside another object."""
    return {"type": party.type, **party_json(party)}


def attachment_json(attachment: Attachment) -> dict[str, Any]:
    """An attachment inside a message."""
    duration_ms = attachment.duration_ms
    return {
        "id": attachment.id,
        "name": attachment.name,
        "content_type": attachment.content_type,
        "size": attachment.size,
        "voice": attachment.voice,
        "width": attachment.width,
        "height": attachment.height,
        "duration": duration_ms / 1000 if duration_ms is not None else None,
        "saved": attachment.saved,
    }
