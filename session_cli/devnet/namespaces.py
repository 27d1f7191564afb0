"""What may be done in which namespace, by its number."""

from __future__ import annotations

from typing import Final

ALL_NAMESPACES: Final = "all"
Namespaces = int | str
"""One namespace, or `ALL_NAMESPACES`."""

NAMESPACE_MIN, NAMESPACE_MAX = -32768, 32767
LEGACY_GROUP_NAMESPACE = -10


def is_public_inbox(namespace: int) -> bool:
    """Anyone may store (…, -10, 0, 10, …)."""
    return namespace % 10 == 0


def is_public_outbox(namespace: int) -> bool:
    """The owner stores, replacing what was there; anyone may read (-1, -21, -41, …)."""
    return namespace < 0 and -namespace % 20 == 1


def is_unrevocable(namespace: int) -> bool:
    """Readable even with a revoked token (-11, -111, …)."""
    return namespace < 0 and -namespace % 100 == 11


def is_readable_by_anyone(namespace: int) -> bool:
    """Whether a retrieve needs no signature."""
    return namespace == LEGACY_GROUP_NAMESPACE or is_public_outbox(namespace)


def signed_text(namespaces: Namespaces) -> str:
    """How namespaces stand in signed texts: nothing for 0, else decimal, or `all`."""
    return str(namespaces) if namespaces else ""
