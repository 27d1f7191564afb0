"""The exported page: whatever strangers write, it is text, and no tag or attribute is there but the page's own."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from session_cli.cli import page
from session_cli.core.exporting import ExportedFile
from session_cli.core.file_names import safe_file_name
from session_cli.core.model import Attachment, Message, Party, Quote

OWN = {
    "article": {"class", "id"},
    "section": {"class", "id"},
    **{tag: set[str]() for tag in ("div", "h2", "h3", "bdi", "b", "figure", "figcaption", "small", "code")},
    "p": {"class", "dir"},
    "span": {"class", "dir"},
    "time": {"datetime", "title"},
    "a": {"class", "href", "rel"},
    "img": {"src", "alt", "loading"},
    "audio": {"controls", "preload", "src"},
    "video": {"controls", "preload", "src"},
}
"""The tags of a chapter, and the attributes that each may have."""

HOSTILE = st.lists(
    st.sampled_from(
        [
            *("<script>", "</script>", "</style>", "<img src=x onerror=alert(1)>", "javascript:alert(1)", "https://x/"),
            *(
                '"',
                "'",
                "`",
                "<",
                ">",
                "&",
                "&lt;",
                "&#0;",
                "<!--",
                "-->",
                "]]>",
                "\0",
                "\x1b",
                "\u202e",
                "\u2028",
                " ",
            ),
            *("http://a.b/\"onclick='x'", "https://\u202e", "HTTPS://EVIL", "data:text/html,", "\ud800", "\ufffe", "a"),
            *("\n", "é", "<U+FFFE>"),
        ]
    )
    | st.text(max_size=5),
    max_size=8,
).map("".join)


@dataclass
class Seen(HTMLParser):
    """What a parser makes of some HTML."""

    tags: list[tuple[str, dict[str, str | None]]] = field(default_factory=list)
    open: list[str] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    other: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len(dict(attrs)) == len(attrs), "an attribute twice"
        self.tags.append((tag, dict(attrs)))
        if tag == "p" and dict(attrs).get("class") in ("text", "text big"):
            self.texts.append("")
        if tag not in ("img", "meta"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "p" in self.open and self.texts:
            self.texts[-1] += data

    def handle_comment(self, data: str) -> None:
        self.other.append(data)

    def handle_decl(self, decl: str) -> None:
        self.other.append(decl)

    def handle_pi(self, data: str) -> None:
        self.other.append(data)

    def unknown_decl(self, data: str) -> None:
        self.other.append(data)


def parsed(html: str) -> Seen:
    seen = Seen()
    seen.feed(html)
    seen.close()
    assert seen.other == []
    return seen


def message(body: str = "", name: str | None = "Alice", **more: object) -> Message:
    fields: dict[str, object] = {
        "id": 1,
        "hash": None,
        "direction": "incoming",
        "conversation": Party("05aa", name),
        "sender": Party("05aa", name),
        "timestamp_ms": 1_795_428_131_123,
        "body": body,
        "attachments": (),
        "quote": None,
        "expire_mode": "off",
        "expire_s": 0,
        "request": False,
        "status": "received",
    }
    return Message(**fields | more)  # type: ignore[arg-type]


def chapter(party: Party, original: Message | None = None) -> page.Chapter:
    return page.Chapter(party, heading=True, lookup=lambda *_: original, is_included=lambda _: True)


@given(HOSTILE, HOSTILE, HOSTILE, HOSTILE, HOSTILE, st.booleans())
def test_strangers_write_text_only(body: str, name: str, file: str, kind: str, author: str, there: bool) -> None:
    party = Party("05aa", name)
    attachment = Attachment(1, file, kind, 5, False, None)
    files = [
        ExportedFile(attachment, PurePosixPath("x_files") / (safe_file_name(file, kind, "file") + ending))
        for ending in (".png", ".pdf", ".html", ".mp4", ".ogg", "")
    ]
    files += [ExportedFile(attachment), ExportedFile(attachment, problem=kind)]
    answer = message(body, name, quote=Quote(Party(author, None), 5), sender=party)
    made = chapter(party, message(author, kind) if there else None)
    html = made.begin() + made.message(answer, files) + made.end()
    seen = parsed(html)
    assert seen.open == []
    for tag, attributes in seen.tags:
        assert set(attributes) <= OWN[tag], (tag, attributes)
        for address in (attributes.get("href"), attributes.get("src")):
            assert address is None or re.match(r"(?i)https?://[^\s\"'<>]|#m-[0-9]|x_files/[\w.%~-]+\Z", address), (
                address
            )
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]", html)


def _characters(shown: str) -> list[str]:
    """A shown text with each character that was made visible as one."""
    return re.findall("<U\\+[0-9A-F]{4}>|.", shown, re.DOTALL)


@given((HOSTILE | st.text()).filter(lambda text: "<U+" not in text))
def test_every_text_is_shown_as_it_was_written(body: str) -> None:
    shown = parsed("<p class=text>" + page.linked(body) + "</p>").texts[0]
    for written, seen in zip(body.replace("\r\n", "\n"), _characters(shown), strict=True):
        assert seen == written or page._UNPRINTABLE.match(written)


@pytest.mark.parametrize(
    ("text", "addresses"),
    [
        ("see https://example.org/a?b=1&c=2.", ["https://example.org/a?b=1&c=2"]),
        ("(http://example.net/a_(b))", ["http://example.net/a_(b)"]),
        ('<https://example.org> "http://x.y/\'q"', ["https://example.org", "http://x.y/"]),
        ("HTTPS://EXAMPLE.ORG!", ["HTTPS://EXAMPLE.ORG"]),
        ("https://example.org/مرحبا، ok", ["https://example.org/مرحبا،"]),
        ("https://a.b/\u202egpj.exe", ["https://a.b/"]),
        ("javascript:alert(1) data:text/html,x file:///etc/passwd ftp://x.y mailto:a@b.c //x.y", []),
        ("xhttps://example.org https:// http://", []),
        ("javascript:https://x.y", ["https://x.y"]),
        ("http://user:pass@host/", ["http://user:pass@host/"]),
    ],
)
def test_addresses_of_the_web_are_links_and_nothing_else_is(text: str, addresses: list[str]) -> None:
    seen = parsed(page.linked(text))
    assert [attributes["href"] for _, attributes in seen.tags] == addresses
    for _, attributes in seen.tags:
        assert attributes["rel"] == "noopener noreferrer nofollow"


@pytest.mark.parametrize(
    ("name", "tag", "is_linked"),
    [
        ("a.png", "img", True),
        ("A.JPEG", "img", True),
        ("a.ogg", "audio", True),
        ("a.mp4", "video", True),
        ("a.pdf", None, True),
        *((f"a.{ending}", None, False) for ending in ("html", "svg", "xhtml", "xml", "js", "mhtml", "png.html", "exe")),
        ("a", None, False),
    ],
)
def test_no_link_leads_to_a_file_that_could_be_a_page(name: str, tag: str | None, is_linked: bool) -> None:
    file = ExportedFile(Attachment(1, "a.png", "image/png", 5, False, None), PurePosixPath("x_files") / name)
    tags = dict(parsed(chapter(Party("05aa", "A")).message(message(), [file])).tags)
    assert ("a" in tags) == is_linked
    assert {"img", "audio", "video"} & set(tags) == ({tag} if tag else set())


def test_addresses_of_files_are_relative_whatever_their_names_are() -> None:
    for name in ("a b.png", "#1?.png", "javascript:alert(1).png", "é%41.png", "\udcff.png"):
        path = PurePosixPath("http:") / name
        address = page._address(path)
        assert re.fullmatch(r"http%3A/[A-Za-z0-9_.%~-]+", address)


def test_days_senders_and_states() -> None:
    made = chapter(Party("05aa", "Alice"))
    day = 86_400_000
    html = made.begin()
    html += made.message(message("one", timestamp_ms=day), [])
    html += made.message(message("two", timestamp_ms=day + 1), [])
    html += made.message(message("three", timestamp_ms=3 * day, status="failed", direction="outgoing"), [])
    html += made.end()
    assert html.count('<section class="day">') == 2
    assert html.count('<p class="who">') == 1
    assert html.count("not sent") == 1
    assert re.findall('<article class="([a-z ]+)"', html) == ["m", "m next", "m out"]


def test_a_quote_leads_to_its_message() -> None:
    original = message("the question", id=7, timestamp_ms=77)
    answer = message("yes", quote=Quote(Party("05aa", None), 77))
    made = chapter(Party("05aa", "Alice"), original)
    html = made.message(original, []) + made.message(answer, [])
    assert 'id="m-7"' in html
    assert '<a class="quote" href="#m-7"><b><bdi>Alice</bdi></b><span dir="auto">the question</span></a>' in html
    elsewhere = page.Chapter(
        Party("05aa", "Alice"), heading=False, lookup=lambda *_: original, is_included=lambda _: False
    )
    assert "<a " not in elsewhere.message(answer, [])


@pytest.mark.parametrize(
    ("text", "is_big"), [("🎉", True), ("👩‍👩‍👧 ❤️", True), ("ok 🎉", False), ("", False), ("🎉" * 20, False)]
)
def test_emoji_alone_are_large(text: str, is_big: bool) -> None:
    assert ('class="text big"' in chapter(Party("05aa", "A")).message(message(text), [])) == is_big


def test_the_whole_page() -> None:
    parties = [Party("05aa", "A<b>"), Party("05bb", None)]
    seen = parsed((page.begin("T</title><script>", parties, ["<i>"]) + page.end(2)).removeprefix("<!DOCTYPE html>"))
    tags = [tag for tag, _ in seen.tags]
    assert not {"script", "iframe", "object", "embed", "form", "base", "link", "i", "b"} & set(tags)
    policy = next(
        a["content"] for t, a in seen.tags if t == "meta" and a.get("http-equiv") == "Content-Security-Policy"
    )
    assert policy is not None
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy
    assert "http" not in policy


def test_in_a_group_nobody_passes_for_a_member_of_the_same_name() -> None:
    group = Party("03aa", "Hikers", "group")
    senders = (Party("05" + "aa" * 32, "Alice"), Party("05" + "bb" * 32, "Alice"), Party("05" + "cc" * 32, None))
    made = chapter(group)
    html = made.begin() + "".join(made.message(message("hi", conversation=group, sender=one), []) for one in senders)
    assert re.findall('<p class="who">(.*)</p>', html) == [
        "<bdi>Alice</bdi> <code>05aaaaaaaa…</code>",
        "<bdi>Alice</bdi> <code>05bbbbbbbb…</code>",
        "<bdi>05cccccccc…</bdi>",
    ]
