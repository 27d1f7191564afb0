"""A history as one HTML page: no script, no request to anywhere, no markup that a stranger could have put there.

Every text goes through `escape`; a stranger's text stands in a tag only as an address of http or https, or as the name
of a picture. Should that ever fail, the page's own policy keeps a browser from running or loading anything.
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
import time
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from html import escape
from pathlib import Path, PurePath
from typing import TYPE_CHECKING
from urllib.parse import quote

from .history import day_heading
from .json_output import iso_time
from .notices import notice_text
from .output import UNSENT, attachment_text
from .text import counted, harmless, short_id

if TYPE_CHECKING:
    from ..core.exporting import ExportedFile
    from ..core.model import Message, Party, Quote

_URL = re.compile(
    "\\bhttps?://[^\\s<>\"'`\\x00-\\x20\\x7f-\\xa0\xad\u061c\u180e\u200b-\u200f\u2028-\u202f\u2060-\u206f\ufeff\U000e0000-\U000e0fff]+",
    re.IGNORECASE,
)
_ENDS_SENTENCE = ".,;:!?…"
_BRACKETS = {")": "(", "]": "["}
_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]")
"""What must not stand in HTML."""

# Told by the endings of names, as a browser does it with files. Any other file could be a page, with scripts that may
# read what lies beside it: no link leads there.
_PICTURES = frozenset((".png", ".jpg", ".jpeg", ".gif", ".webp", ".avif", ".bmp"))
_SOUNDS = frozenset((".mp3", ".m4a", ".aac", ".ogg", ".oga", ".opus", ".wav", ".flac", ".weba"))
_FILMS = frozenset((".mp4", ".m4v", ".webm", ".mov", ".ogv"))
_LINKED = _PICTURES | _SOUNDS | _FILMS | {".pdf", ".txt", ".zip", ".gz", ".zst", ".xz", ".7z", ".tar", ".docx", ".odt"}

_FEW = 12
"""Characters in a text that is shown large, if it is emoji only."""
_EXCERPT = 200

Lookup = Callable[[str, int], "Message | None"]
"""Finds the message of the chapter that a person sent at a time."""
IsIncluded = Callable[["Message"], bool]
"""Whether a message is somewhere on the page."""


def begin(title: str, chapters: Sequence[Party], remarks: Sequence[str]) -> str:
    """The page up to its first chapter; `chapters` are linked, if there are several."""
    style = Path(__file__).with_name("page.css").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = (
        f"default-src 'none'; style-src 'sha256-{digest}'; img-src 'self' file:; media-src 'self' file:; "
        "base-uri 'none'; form-action 'none'"
    )
    links = "".join(f'<li><a href="#{_chapter_id(party)}">{_name(party)}</a></li>\n' for party in chapters)
    notes = "".join(f"<p>{_label(remark)}</p>\n" for remark in remarks)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{escape(policy)}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="referrer" content="no-referrer">\n'
        f"<title>{_label(title)}</title>\n<style>{style}</style>\n</head>\n<body>\n"
        f"<header>\n<h1><bdi>{_label(title)}</bdi></h1>\n{notes}</header>\n"
        + (f"<nav><ul>\n{links}</ul></nav>\n" if len(chapters) > 1 else "")
        + "<main>\n"
    )


def end(count: int) -> str:
    """What stands behind the last chapter."""
    return f"</main>\n<footer>{escape(counted(count, 'message'))}</footer>\n</body>\n</html>\n"


class Chapter:
    """One conversation on the page. Give it the messages in order."""

    def __init__(self, party: Party, *, heading: bool, lookup: Lookup, is_included: IsIncluded) -> None:
        self._party = party
        self._heading = heading
        self._lookup = lookup
        self._is_included = is_included
        self._day = ""
        self._last_sender = ""

    def begin(self) -> str:
        """The chapter up to its first message."""
        title = (
            f"<h2>{_name(self._party)}</h2>\n<p><code>{escape(self._party.id)}</code></p>\n" if self._heading else ""
        )
        return f'<section class="chapter" id="{_chapter_id(self._party)}">\n{title}'

    def end(self) -> str:
        """The end of the chapter."""
        return ("</section>\n" if self._day else "") + "</section>\n"

    def message(self, message: Message, files: Sequence[ExportedFile]) -> str:
        """One message, with the heading of its day if it is the day's first."""
        day, heading = day_heading(message.timestamp_ms), ""
        if day != self._day:
            heading = ("</section>\n" if self._day else "") + (
                f'<section class="day">\n<h3><span>{escape(day)}</span></h3>\n'
            )
            self._day, self._last_sender = day, ""
        follows = message.sender.id == self._last_sender
        self._last_sender = message.sender.id
        outgoing = message.direction == "outgoing"
        kind = "m" + (" out" if outgoing else "") + (" next" if follows else "")
        who = "" if follows or outgoing else f'<p class="who">{self._sender(message.sender)}</p>\n'
        parts = [_quote(message.quote, self._lookup, self._is_included)] if message.quote else []
        parts += [_file(file) for file in files]
        notice = notice_text(message)
        if notice is not None:
            parts = [f'<p class="quote"><span>{_label(notice)}</span></p>\n']
        elif message.body:
            parts.append(f'<p class="{_text_class(message.body)}" dir="auto">{linked(message.text)}</p>\n')
        if message.reactions:
            marks = " ".join(f"{reaction.emoji} {len(reaction.senders)}" for reaction in message.reactions)
            parts.append(f'<p class="info">{_label(marks)}</p>\n')
        return (
            f'{heading}<article class="{kind}" id="{_anchor(message)}">\n{who}<div>\n'
            f"{''.join(parts)}{_info(message)}</div>\n</article>\n"
        )

    def _sender(self, party: Party) -> str:
        """Who wrote; in a group or room with the beginning of the id, as two people may have the same name there."""
        if not self._party.is_shared or not party.name:
            return _name(party)
        return f"{_name(party)} <code>{escape(short_id(party.id))}</code>"


def left_out(message: Message) -> list[ExportedFile]:
    """The files of a message, none of which goes along."""
    from ..core.exporting import ExportedFile

    return [ExportedFile(attachment) for attachment in message.attachments]


def _info(message: Message) -> str:
    then = time.localtime(message.timestamp_ms / 1000)
    state = f' · <span class="bad">{escape(UNSENT[message.status])}</span>' if message.status in UNSENT else ""
    return (
        f'<p class="info"><time datetime="{iso_time(message.timestamp_ms)}" '
        f'title="{time.strftime("%Y-%m-%d %H:%M:%S", then)}">{time.strftime("%H:%M", then)}</time>{state}</p>\n'
    )


def _name(party: Party) -> str:
    if party.type == "self":
        return "Note to self"
    return f"<bdi>{_label(party.name or short_id(party.id))}</bdi>"


def _chapter_id(party: Party) -> str:
    return "c-" + quote(party.id, safe="")


def _anchor(message: Message) -> str:
    return f"m-{message.id}"


def _quote(quoted: Quote, lookup: Lookup, is_included: IsIncluded) -> str:
    original = lookup(quoted.author.id, quoted.timestamp_ms)
    if original is None:
        author = _label(short_id(quoted.author.id))
        return f'<p class="quote"><b>{author}</b><span>a message that is not here</span></p>\n'
    text = original.body[:_EXCERPT] or ", ".join(map(attachment_text, original.attachments))
    name = "me" if original.direction == "outgoing" else _name(original.sender)
    inside = f'<b>{name}</b><span dir="auto">{_shown(text)}</span>'
    if not is_included(original):
        return f'<p class="quote">{inside}</p>\n'
    return f'<a class="quote" href="#{_anchor(original)}">{inside}</a>\n'


def _text_class(text: str) -> str:
    bare = text.strip()
    is_emoji = not bare.isascii() and all(
        unicodedata.category(char) in ("So", "Sk", "Mn", "Me", "Cf", "Zs") for char in bare
    )
    return "text big" if is_emoji and len(bare) <= _FEW else "text"


def _shown(text: str) -> str:
    """A text as HTML shows it; what must not stand there is made visible."""
    return escape(_UNPRINTABLE.sub(_made_visible, text.replace("\r\n", "\n")))


def _label(text: str) -> str:
    """A text of one line as HTML shows it, its direction marks made visible, too."""
    return _shown(harmless(text))


def _made_visible(match: re.Match[str]) -> str:
    shown = harmless(match[0])
    return shown if shown != match[0] else f"<U+{ord(shown):04X}>"


def linked(text: str) -> str:
    """A text as HTML, with its addresses of http and https as links."""
    return "".join(_linked(text))


def _linked(text: str) -> Iterator[str]:
    at = 0
    for match in _URL.finditer(text):
        url = _trimmed(match[0])
        if len(url) <= len("https://"):
            continue
        yield _shown(text[at : match.start()])
        yield f'<a href="{_shown(url)}" rel="noopener noreferrer nofollow">{_shown(url)}</a>'
        at = match.start() + len(url)
    yield _shown(text[at:])


def _trimmed(url: str) -> str:
    """An address without the marks of the sentence that it stands in."""
    while url:
        last = url[-1]
        opening = _BRACKETS.get(last)
        if last in _ENDS_SENTENCE or (opening and url.count(last) > url.count(opening)):
            url = url[:-1]
        else:
            break
    return url


def _file(file: ExportedFile) -> str:
    attachment = file.attachment
    about = _label(attachment_text(attachment, with_place=False)[1:-1])
    if file.path is None:
        why = f" — {_label(file.problem)}" if file.problem else ""
        return f"<figure><figcaption>📎 <bdi>{about}</bdi>{why}</figcaption></figure>\n"
    address, ending = _address(file.path), file.path.suffix.lower()
    label = f"<bdi>{about}</bdi>"
    if ending in _PICTURES:
        alt = _label(attachment.name or "picture")
        return f'<figure><a href="{address}"><img src="{address}" alt="{alt}" loading="lazy"></a></figure>\n'
    player = ""
    if ending in _SOUNDS:
        player = f'<audio controls preload="none" src="{address}"></audio>'
    elif ending in _FILMS:
        player = f'<video controls preload="metadata" src="{address}"></video>'
    if ending in _LINKED:
        label = f'<a href="{address}">{label}</a>'
    else:
        label += f" <small>in <bdi>{_label(str(file.path))}</bdi></small>"
    return f"<figure>{player}<figcaption>📎 {label}</figcaption></figure>\n"


def _address(path: PurePath) -> str:
    """A relative address that means the file, whatever is in its name."""
    return "/".join(quote(os.fsencode(part), safe="") for part in path.parts)
