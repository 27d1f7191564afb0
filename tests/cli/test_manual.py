"""What the manual pages and the help of groups say of other commands, and where errors send their readers."""

from __future__ import annotations

from pathlib import Path

import pytest

from session_cli.cli.app import COMMANDS
from session_cli.cli.manual import generated_files
from tests.support.devnet import Person
from tests.support.outcomes import check_refusal

FORMATS = ["session-chaos(5)", "session-json(5)"]


@pytest.fixture
def nobody(tmp_path: Path) -> Person:
    return Person(tmp_path / "home", "mainnet")


@pytest.fixture(scope="module")
def pages() -> dict[str, str]:
    """The manual pages by name, without what only formats them."""
    written = {Path(name).name: text for name, text in generated_files().items() if name.startswith("man/")}
    return {name: text.replace("\\-", "-").replace("\\fB", "").replace("\\fR", "") for name, text in written.items()}


def see_also(page: str) -> list[str]:
    return page.rpartition(".SH SEE ALSO\n")[2].strip().split(", ")


def test_what_to_read_next(pages: dict[str, str]) -> None:
    formats = ["session-chaos(5)", "session-config(5)", "session-json(5)", "session-recipes(7)"]
    assert see_also(pages["session.1"]) == [*(f"session-{name}(1)" for name in COMMANDS), *formats]
    assert see_also(pages["session-config-get.1"])[2:] == ["session-config(5)", "session-json(5)"]
    below = ["session-devnet-run(1)", "session-devnet-exec(1)"]
    assert see_also(pages["session-devnet.1"]) == ["session(1)", *below, *FORMATS]
    for name in ("run", "exec"):
        assert see_also(pages[f"session-devnet-{name}.1"]) == ["session(1)", "session-devnet(1)", *FORMATS]
    assert see_also(pages["session-attach-save.1"]) == ["session(1)", "session-attach(1)", "session-json(5)"]
    assert see_also(pages["session-send.1"]) == ["session(1)", "session-json(5)", "session-recipes(7)"]


def test_every_page_that_is_named_is_there(pages: dict[str, str]) -> None:
    named = {name for page in pages.values() for name in see_also(page)}
    there = {f"{name.rpartition('.')[0]}({name.rpartition('.')[2]})" for name in pages}
    assert named <= there | {"session-recipes(7)"}, "the one that is written by hand"


def test_pages_tell_both_ways_to_ask_for_help(pages: dict[str, str]) -> None:
    for name, page in pages.items():
        assert ("\n-h, --help\nShow this message and exit.\n" in page) == name.endswith(".1")


@pytest.mark.parametrize(
    ("group", "sentence"),
    [
        ("network", "path Show the onion paths in use, and how long each hop takes to answer."),
        ("attach", "save Download, check and decrypt the files of messages; print where they were saved."),
        ("devnet", "exec Run a command against a local network of its own, and pass on its exit code."),
    ],
)
def test_groups_say_in_full_what_their_commands_do(
    group: str, sentence: str, pages: dict[str, str], nobody: Person
) -> None:
    assert sentence in " ".join(nobody.run(group, "--help").text.split())
    assert sentence in " ".join(pages[f"session-{group}.1"].split())


@pytest.mark.parametrize(
    ("arguments", "path"),
    [
        (("devnet", "exec", "--chaos"), "session devnet exec"),
        (("devnet", "exec"), "session devnet exec"),
        (("devnet", "--profile"), "session devnet"),
        (("recv", "--profile"), "session recv"),
        (("--profile",), "session"),
    ],
)
def test_errors_lead_to_the_help_of_their_command(arguments: tuple[str, ...], path: str, nobody: Person) -> None:
    check_refusal(nobody.try_run(*arguments), 2, f" See {path} --help\n")
