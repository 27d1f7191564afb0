"""What is set for a conversation, as the caller sees it."""

from __future__ import annotations

from ..store.configs import ConversationSettings
from .model import ConversationState


def state_of(settings: ConversationSettings, now_ms: int) -> ConversationState:
    """How a conversation is treated at a time."""
    muted = settings.is_muted(now_ms)
    return ConversationState(
        pinned=settings.pinned > 0,
        muted=muted,
        muted_until_ms=1000 * settings.muted_until_s if muted and not settings.muted_for_good else None,
        hidden=settings.hidden,
        marked_unread=settings.unread,
    )
