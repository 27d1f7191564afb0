"""What a community server can do to whoever asks it, under the names that fault files use.

    redirect oversized wrong_key forged_posts

`inner_status` and `nonsense` strike it, too, as does all that goes wrong on the way. `Rewrite`, for tests alone,
puts anything in the place of an answer.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from .faults import CallFault, check
from .routes import Reply

POST_METHODS = frozenset(
    {
        "GET /room/<room>/message/<id>",
        "GET /room/<room>/messages/before/<id>",
        "GET /room/<room>/messages/recent",
        "GET /room/<room>/messages/since/<n>",
    }
)
"""What is answered with posts."""


@dataclass(frozen=True, slots=True)
class CommunityFault(CallFault):
    """A lie of a community server, inside of its sealed answer."""

    places = frozenset({"community"})


@dataclass(frozen=True, slots=True)
class Redirect(CommunityFault):
    """The answer sends the client elsewhere; nothing is carried out."""

    kind = "redirect"
    location: str = "http://127.0.0.1:9/"
    code: int = 302

    def __post_init__(self) -> None:
        check(300 <= self.code <= 399, "code", "must be an HTTP status from 300 to 399")


@dataclass(frozen=True, slots=True)
class Oversized(CommunityFault):
    """The answer is valid JSON, and a single text of so many bytes."""

    kind = "oversized"
    size: int = 20_000_000

    def __post_init__(self) -> None:
        check(1 <= self.size <= 200_000_000, "size", "must be from 1 to 200000000")


@dataclass(frozen=True, slots=True)
class WrongKey(CommunityFault):
    """The server has another key than its URL says: it can't read a request, or seals the answer for nobody."""

    kind = "wrong_key"
    by_method = False
    how: Literal["request", "answer"] = "request"


@dataclass(frozen=True, slots=True)
class ForgedPosts(CommunityFault):
    """What the server tells of posts is not what their authors wrote.

    `signature`: no signature is right. `author`: somebody else is named. `numbers`: ids, times and sequence numbers
    are beyond all measure. `backwards`: sequence numbers are lower than was asked for. `twice`: all comes twice.
    `flood`: thousands of posts come, whatever limit was asked for.
    """

    kind = "forged_posts"
    methods = POST_METHODS
    how: Literal["signature", "author", "numbers", "backwards", "twice", "flood"] = "signature"


@dataclass(frozen=True, slots=True)
class Rewrite(CommunityFault):
    """In Python, anything: what is sent is what `change` makes of the answer."""

    kind = "rewrite"
    change: Callable[[Reply], Reply] = field(default=lambda reply: reply, repr=False, metadata={"in_files": False})
