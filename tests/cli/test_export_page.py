"""The exported page in a real browser: nothing of it runs, nothing is fetched from elsewhere, all of it can be read."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from html import unescape
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.support.devnet import Person
from tests.support.histories import account_id, answering, file_row, fill, message_from, message_to, open_store

ALICE, EVE = map(account_id, (1, 2))
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
PICTURE = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de"
    "0000000c49444154789c63f8cfc0000003010100c9fe92ef0000000049454e44ae426082"
)
"""A red point."""

FRAME = """<!DOCTYPE html><title>start</title>
<iframe src="page.html" width="{width}" height="20000" style="border:0"></iframe>
<script>
addEventListener("load", () => setTimeout(() => {{
  const page = frames[0].document, root = page.documentElement;
  page.querySelectorAll(".day").forEach((day) => day.style.contentVisibility = "visible");
  const box = (element) => (({{left, right, width, height}}) => [left, right, width, height])(
    element.getBoundingClientRect());
  document.body.dataset.found = JSON.stringify({{
    title: document.title,
    pageTitle: page.title,
    owned: String(frames[0].owned) + String(window.owned),
    scripts: page.querySelectorAll("script, iframe, object, embed, form, base, link").length,
    width: root.scrollWidth,
    bubbles: [...page.querySelectorAll(".m > div")].map(box),
    texts: [...page.querySelectorAll(".text")].map((element) => element.innerText),
    pictures: [...page.images].map((image) => image.naturalWidth),
    styled: page.defaultView.getComputedStyle(page.querySelector(".m > div")).borderTopLeftRadius,
    direction: [...page.querySelectorAll(".text")].map((element) => getComputedStyle(element).direction),
    links: [...page.querySelectorAll("a.quote")].map((a) => page.getElementById(a.hash.slice(1)) !== null),
  }});
}}, 300));
</script>"""


@pytest.fixture(scope="module")
def browser() -> str:
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        pytest.skip(f"none of these browsers is installed: {', '.join(BROWSERS)}")
    return found


@contextmanager
def served(folder: Path) -> Iterator[tuple[str, list[str]]]:
    """A web server for a folder; gives its address and the paths that it was asked for."""
    asked: list[str] = []

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *arguments: Any) -> None:
            asked.append(self.path)

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def dump(browser: str, address: str, profile: Path) -> str:
    """The document at an address, after its scripts ran."""
    options = ("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-dev-shm-usage", "--dump-dom")
    command = [browser, *options, "--virtual-time-budget=5000", f"--user-data-dir={profile}", address]
    return subprocess.run(command, capture_output=True, check=True, timeout=120).stdout.decode()


def hostile(evil: str) -> list[str]:
    """Texts that want to run something, or to have something fetched from the address `evil`."""
    return [
        "<script>window.owned = top.owned = 1; document.title = top.document.title = 'owned'</script>",
        f"</p></div></article></section></main><script src='{evil}/1.js'></script>",
        f"<img src='{evil}/2.png' onerror='top.owned=1'>",
        f'"><img src={evil}/3.png><a href="',
        f"<style>@import '{evil}/4.css'; * {{ display: none; background: url({evil}/5.png) }}</style>",
        f"<iframe src='{evil}/6.html'></iframe><object data='{evil}/7'></object>",
        f"<link rel=stylesheet href='{evil}/8.css'>",
        f"<meta http-equiv=refresh content='0; url={evil}/9.html'><base href='{evil}/'>",
        f"{evil}/10\" onmouseover=\"top.owned=1",
        "javascript:top.owned=1",
        "<svg onload=top.owned=1><![CDATA[",
        "<!-- never closed",
        "&lt;script&gt;top.owned=1&lt;/script&gt; &#60;b&#62;",
        "\0<\0script\0>top.owned=1",
    ]  # fmt: skip


def export(person: Person, folder: Path) -> None:
    person.run("export", "-o", str(folder / "page.html"))


@pytest.mark.parametrize("width", [390, 1280])
def test_in_a_browser(browser: str, tmp_path: Path, width: int) -> None:
    folder = tmp_path / "web"
    folder.mkdir()
    carol = Person(tmp_path / "carol", "mainnet").init("--name", "Carol")
    with served(folder) as (address, asked):
        texts = [
            *hostile(address),
            "longword" * 60,
            "short",
            "مرحبا بالعالم",
            "tab\tand\nnewline",
            "https://x.y/" + "z" * 300,
        ]
        messages = [
            message_from((ALICE, EVE)[number % 2], 1_000 * number, text) for number, text in enumerate(texts, 1)
        ]
        answers = [answering(message_to(ALICE, carol.id, 90_000, "an answer"), messages[1])]
        names = {ALICE: "Alice" * 20, EVE: "<script>top.owned=1</script>"}
        pictured = message_from(ALICE, 80_000, "picture")
        with_picture = [_with_picture(pictured, f"'><img src={address}/11.png>.png")]
        fill(carol, [*messages, *answers, *with_picture], names)
        _save_picture(carol, len(messages) + 2)
        export(carol, folder)
        (folder / "frame.html").write_text(FRAME.format(width=width))
        document = dump(browser, f"{address}/frame.html", tmp_path / "browser")
    match = re.search(r'data-found="([^"]*)"', document)
    assert match, document[:2000]
    found = json.loads(unescape(match[1]))
    assert (found["title"], found["pageTitle"], found["scripts"]) == ("start", "Messages", 0)
    assert "1" not in found["owned"]
    for path in asked:
        assert re.fullmatch(r"/(frame\.html|page\.html|page_files/[\w.%-]+|favicon\.ico)", path), path
    assert "/page.html" in asked
    assert found["pictures"] == [1]
    assert found["width"] <= width
    for left, right, wide, high in found["bubbles"]:
        assert left >= 0
        assert right <= width
        assert wide > 20
        assert high > 10
    assert found["styled"] != "0px", "the page's own style is in force"
    assert len(found["texts"]) == len(texts) + 2
    shown = {" ".join(text.split()) for text in found["texts"]}
    assert {" ".join(text.split()) for text in texts if "\0" not in text} <= shown
    assert "rtl" in found["direction"]
    assert found["links"] == [True]


def test_from_a_file(browser: str, tmp_path: Path) -> None:
    """As it is mostly looked at, pictures may be loaded from beside it."""
    carol = Person(tmp_path / "carol", "mainnet").init()
    fill(carol, [_with_picture(message_from(ALICE, 1_000, "picture"), "a.png")])
    _save_picture(carol, 1)
    export(carol, tmp_path)
    picture = tmp_path / "seen.png"
    options = ("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-dev-shm-usage")
    place = f"--user-data-dir={tmp_path / 'browser'}"
    command = [browser, *options, place, f"--screenshot={picture}", "--window-size=600,600"]
    subprocess.run([*command, (tmp_path / "page.html").as_uri()], capture_output=True, check=True, timeout=120)
    with_it = picture.read_bytes()
    shutil.rmtree(tmp_path / "page_files")
    subprocess.run([*command, (tmp_path / "page.html").as_uri()], capture_output=True, check=True, timeout=120)
    assert picture.read_bytes() != with_it, "the picture can be seen, and is missed"


def _with_picture(message: Any, name: str) -> Any:
    from tests.support.histories import with_files

    return with_files(message, file_row(name, "image/png", len(PICTURE)))


def _save_picture(person: Person, message_id: int) -> None:
    path = person.home / "picture.png"
    path.write_bytes(PICTURE)
    profile = open_store(person)
    with profile.store.transaction():
        row = profile.store.messages.get(message_id)
        assert row is not None
        profile.store.messages.set_saved(row.attachments[0].id or 0, str(path))
    profile.store.close()
