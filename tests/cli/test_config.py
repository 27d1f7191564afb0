"""Settings: which of several values counts, how the file is changed, and what is said of one that is wrong."""

from __future__ import annotations

import itertools
import os
import random
import stat
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from session_cli.cli.context import App
from session_cli.cli.settings import PAGER, SETTINGS, plain
from tests.support.contract import json_object
from tests.support.devnet import SESSION, Done, Person
from tests.support.outcomes import assert_private, check_json_refusal, check_refusal, run_with, temporary_files

People = Callable[[str], Person]

VALUES: dict[str, tuple[Any, Any, Any, Any]] = {
    # What the option, the environment, the profile's table and the top of the file say.
    "profile": ("by-option", "by-environment", None, "by-file"),
    "network": ("testnet", "mainnet", "testnet", "mainnet"),
    "proxy": ("socks5h://o:1", "http://e:2", "socks5h://p:3", "http://f:4"),
    "direct": (True, False, True, False),
    "timeout": (1.5, 2, 3, 4.25),
    "quiet": (True, False, True, False),
    "color": ("always", "never", "always", "never"),
    "pager": ("o", "e -x", "p", "f"),
    "interval": (0.5, 2, 3, 4),
    "download": ("/o", "/e", "/p", "/f"),
    "download_name": ("id", "time", "id", "name"),
    "notify_show": ("name", "nothing", "name", "all"),
    "read_receipts": (True, False, True, False),
    "typing": (True, False, True, False),
    "mark_read": (True, False, True, False),
    "saved_notices": (True, False, True, False),
}
SOURCES = ("option", "environment", "profile", "file")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def config(home: Path) -> Path:
    """Where the file goes; its folder is there."""
    folder = home / "config"
    folder.mkdir(parents=True, mode=0o700)
    return folder / "config.toml"


@pytest.fixture
def user(home: Path) -> Person:
    """Somebody without an account, whom nothing tells a network."""
    return Person(home, "")


def toml(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else repr(value)


# Which value counts.


def test_the_table_has_every_setting() -> None:
    assert set(VALUES) == set(SETTINGS)


@pytest.mark.parametrize("name", SETTINGS)
def test_the_nearest_of_several_values_counts(name: str, home: Path, config: Path) -> None:
    setting, values = SETTINGS[name], dict(zip(SOURCES, VALUES[name], strict=True))
    possible = [source for source in SOURCES if values[source] is not None]
    for given in itertools.chain.from_iterable(
        itertools.combinations(possible, count) for count in range(len(possible) + 1)
    ):
        top = f"{name} = {toml(values['file'])}\n" if "file" in given else ""
        # The profile itself is chosen where that can't hide what is tested.
        table = f"[profiles.chosen]\n{name} = {toml(values['profile'])}\n" if "profile" in given else ""
        config.write_text(top + table)
        app = App(environ={"SESSION_HOME": str(home)})
        if name != "profile":
            app.options["profile"] = "chosen"
        if "environment" in given:
            app.environ = {**app.environ, setting.variable: str(values["environment"])}
        if "option" in given:
            app.options[name] = setting.kind.parse(str(values["option"]))
        found = app.find(setting)
        expected = values[given[0]] if given else plain(setting.default)
        assert plain(found.value) == expected, given
        assert type(found.value) is type(setting.default) or setting.default is None
        origins = {
            "option": f"option {setting.option or ''}".strip(),
            "environment": f"environment {setting.variable}",
            "profile": f"file {config}:{2 + bool(top)}",
            "file": f"file {config}:1",
        }
        assert found.origin == (origins[given[0]] if given else "default")


@pytest.mark.parametrize("name", SETTINGS)
def test_a_command_s_own_option_counts_before_all(name: str, home: Path, config: Path) -> None:
    setting = SETTINGS[name]
    config.write_text(f"{name} = {toml(VALUES[name][3])}\n")
    app = App(environ={"SESSION_HOME": str(home), setting.variable: str(VALUES[name][1])})
    given = setting.kind.parse(str(VALUES[name][0]))
    assert app.setting(setting, given) == given


def test_options_of_the_program_are_what_the_table_says(user: Person) -> None:
    text = user.run("--help").text + user.run("recv", "--help").text
    for setting in SETTINGS.values():
        assert setting.option is None or f"{setting.option} " in text or f"{setting.option}\n" in text


def test_variables_of_settings_are_no_variables_of_a_message() -> None:
    fields = {"type", "id", "body", "hash", "direction", "conversation", "timestamp", "request", "status"}
    assert not any(name in fields or name.startswith(("sender", "conversation")) for name in SETTINGS)


def test_settings_reach_the_commands(person: People) -> None:
    alice = person("Alice")
    alice.run("init", "--quiet", "--profile", "work")
    user = Person(alice.home, "")
    user.run("config", "set", "profile", "work")
    assert user.run("whoami", "--json").objects[0]["profile"] == "work"
    user.run("config", "set", "--profile", "work", "network", "testnet")
    check_refusal(user.try_run("send", "me", "hi"), 78, "testnet")
    user.run("config", "set", "proxy", "socks5h://127.0.0.1:1")
    check_refusal(user.try_run("recv", "--profile", "default"), 75, "proxy")
    check_refusal(user.try_run("recv", "--profile", "default", "--tor", "--direct"), 2, "--tor and --direct exclude")


def test_going_without_onion_paths_is_owned_up_to(person: People) -> None:
    alice = person("Alice")
    alice.run("config", "set", "direct", "yes")
    remark = alice.run("recv").stderr
    assert remark.startswith(f"session: direct (file {alice.home}/config/config.toml:1) shows this machine's address")
    check_refusal(alice.try_run("recv", "--tor"), 2, "--tor and direct (file ", "exclude each other")
    assert "--direct shows" in alice.run("recv", "--direct").stderr
    alice.run("config", "set", "quiet", "on")
    assert alice.run("recv").stderr == ""


@pytest.mark.parametrize("option", ["--profile", "--network", "--proxy"])
def test_an_empty_option_is_no_wish_for_the_default(option: str, user: Person) -> None:
    check_refusal(user.try_run(option, "", "recv"), 2, f"{option}: ")


class Terminal:
    """A stream to somebody who could see colours."""

    def isatty(self) -> bool:
        return True


def test_no_color_keeps_its_meaning(home: Path, config: Path) -> None:
    environ = {"SESSION_HOME": str(home), "NO_COLOR": "1"}
    assert App(environ={"SESSION_HOME": str(home)}).painter(Terminal()).bold("x") != "x"
    assert App(environ=environ).painter(Terminal()).bold("x") == "x"
    config.write_text('color = "always"\n')
    assert App(environ=environ).painter(Terminal()).bold("x") != "x"
    assert App(environ=environ, options={"color": "never"}).painter(Terminal()).bold("x") == "x"


def test_the_pager_of_other_programs_is_a_default(home: Path, config: Path) -> None:
    app = App(environ={"SESSION_HOME": str(home), "PAGER": "more"})
    assert (app.find(PAGER).value, app.find(PAGER).origin) == ("more", "environment PAGER")
    config.write_text('pager = "most"\n')
    app.load_config()
    assert app.setting(PAGER) == "most"


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("SESSION_TIMEOUT", "soon"),
        ("SESSION_TIMEOUT", "0"),
        ("SESSION_TIMEOUT", "nan"),
        ("SESSION_TIMEOUT", "inf"),
        ("SESSION_INTERVAL", "-1"),
        ("SESSION_QUIET", "perhaps"),
        ("SESSION_DIRECT", "2"),
        ("SESSION_COLOR", "blue"),
        ("SESSION_PROXY", "socks5://127.0.0.1:1"),
        ("SESSION_DOWNLOAD", "~nobody-of-that-name/x"),
        ("SESSION_NOTIFY_SHOW", "ALL"),
    ],
)
def test_nonsense_in_the_environment(variable: str, text: str, home: Path) -> None:
    user, name = Person(home, "", extra={variable: text}), variable.removeprefix("SESSION_").lower()
    check_refusal(user.try_run("config", "get", name), 2, f"{variable} in the environment: ")
    done = user.try_run("config", "list", "--json")
    *shown, error = done.objects
    assert (done.code, error["error"]) == (2, "usage")
    assert [setting["name"] for setting in shown] == [other for other in SETTINGS if other != name]


def test_no_profile_s_name_in_the_environment(home: Path) -> None:
    user = Person(home, "", extra={"SESSION_PROFILE": "../escape"})
    for command in (("whoami",), ("config", "get", "profile"), ("config", "list")):
        assert user.try_run(*command).code == 2


# Shown.


def test_settings_are_shown(user: Person, config: Path) -> None:
    config.write_text("timeout = 20.0\n[profiles.work]\ninterval = 1.5\nquiet = true\n")
    assert user.run("config", "get", "timeout").text == "20\n"
    assert user.run("config", "get", "proxy").text == "\n"
    assert user.run("config", "get", "quiet").text == "false\n"
    assert user.run("config", "get", "quiet", "--profile", "work").text == "true\n"
    assert user.run("config", "get", "proxy", "--tor", "--json").objects == [
        {"v": 1, "type": "setting", "name": "proxy", "value": "socks5h://127.0.0.1:9050", "origin": "option --tor"}
    ]
    lines = user.run("config", "list", "--profile", "work").lines
    assert [line.split()[0] for line in lines] == list(SETTINGS)
    assert "interval       1.5" in lines
    assert "proxy          -" in lines
    origins = {
        line.split()[0]: line.split()[2:] for line in user.run("config", "list", "--profile", "work", "--origin").lines
    }
    assert origins["profile"] == ["option", "--profile"]
    assert origins["interval"] == ["file", f"{config}:3"]
    assert origins["direct"] == ["default"]
    shown = {item["name"]: item["value"] for item in user.run("config", "list", "--json").objects}
    assert (shown["timeout"], shown["proxy"], shown["quiet"]) == (20, None, False)


def test_path(user: Person, home: Path) -> None:
    file = home / "config" / "config.toml"
    assert user.run("config", "path").text == f"{file}\n"
    assert user.run("config", "path", "--json").objects[0]["exists"] is False
    assert not home.exists(), "asking makes nothing"
    user.run("config", "set", "timeout", "3")
    assert user.run("config", "path", "--json").objects[0]["exists"] is True


# Changed.

WRITTEN = """\
# My settings.

timeout = 20   # long enough
download   =   '~/x'

# For cron:
[profiles.cron]
quiet = true  # always

    color = "never"

[profiles."a.b"]
# nothing yet
"""


def test_comments_order_and_layout_stay(user: Person, config: Path) -> None:
    config.write_text(WRITTEN)
    user.run("config", "set", "timeout", "30")
    expected = WRITTEN.replace("timeout = 20 ", "timeout = 30 ")
    assert config.read_text() == expected
    user.run("config", "set", "--profile", "cron", "color", "auto")
    expected = expected.replace('"never"', '"auto"')
    assert config.read_text() == expected
    user.run("config", "unset", "--profile", "cron", "quiet")
    expected = expected.replace("quiet = true  # always\n", "")
    assert config.read_text() == expected
    user.run("config", "unset", "timeout")
    assert config.read_text() == expected.replace("timeout = 30   # long enough\n", "")


def test_new_entries_find_their_place(user: Person, config: Path) -> None:
    config.write_text(WRITTEN)
    user.run("config", "set", "interval", "9")
    user.run("config", "set", "--profile", "a.b", "timeout", "1.5")
    user.run("config", "set", "--profile", "new", "notify_show", "name")
    added = [line for line in config.read_text().splitlines() if line not in WRITTEN.splitlines()]
    assert added == ["interval = 9", "timeout = 1.5", "[profiles.new]", 'notify_show = "name"']
    kept = [line for line in config.read_text().splitlines() if line and line not in added]
    assert kept == [line for line in WRITTEN.splitlines() if line]
    assert user.run("config", "get", "interval").text == "9\n"
    assert user.run("config", "get", "timeout", "--profile", "a.b").text == "1.5\n"
    assert user.run("config", "get", "notify_show", "--profile", "new").text == "name\n"
    assert user.run("config", "get", "notify_show").text == "all\n"


@pytest.mark.parametrize(
    "text",
    [
        "timeout = 1",
        "[profiles]\nwork = { timeout = 1 }\n",
        "profiles.work.quiet = true\n",
        "# only\r\n# words\r\n",
        "[profiles.work]\nquiet = true\n[profiles.cron]\ntimeout = 1\n",
    ],
    ids=["no end of line", "inline table", "dotted keys", "carriage returns", "tables only"],
)
def test_files_written_in_other_ways(text: str, user: Person, config: Path) -> None:
    config.write_bytes(text.encode())
    user.run("config", "set", "interval", "7")
    user.run("config", "set", "--profile", "work", "timeout", "8")
    shown = {item["name"]: item["value"] for item in user.run("config", "list", "--json", "--profile", "work").objects}
    assert (shown["interval"], shown["timeout"]) == (7, 8)
    assert shown["quiet"] == ("quiet" in text)
    user.run("config", "unset", "--profile", "work", "timeout")
    left = user.run("config", "get", "timeout", "--profile", "work").text
    assert left == ("1\n" if text == "timeout = 1" else "\n")


def test_values_are_stored_as_what_they_are(user: Person, config: Path, tmp_path: Path) -> None:
    here = tmp_path / "here"
    here.mkdir()
    assert run_with(user, "config", "set", "download", "files", cwd=here).code == 0
    for name, value in (("timeout", "20"), ("interval", "0.5"), ("quiet", "on"), ("pager", 'less "-R"')):
        assert user.run("config", "set", name, value).stdout == b""
    assert user.run("config", "set", "proxy", "-", stdin=b"socks5h://user:secret@127.0.0.1:9050\n").stderr == ""
    assert config.read_text().splitlines() == [
        f'download = "{here / "files"}"',
        "timeout = 20",
        "interval = 0.5",
        "quiet = true",
        'pager = "less \\"-R\\""',
        'proxy = "socks5h://user:secret@127.0.0.1:9050"',
    ]
    assert_private(config.parent)


def test_a_network_is_stored_so_that_it_is_found_from_everywhere(
    user: Person, config: Path, shared_definition: Path
) -> None:
    there = shared_definition.parent
    assert run_with(user, "config", "set", "network", shared_definition.name, cwd=there).code == 0
    assert config.read_text() == f'network = "{shared_definition}"\n'
    check_refusal(user.try_run("config", "set", "network", "tesnet"), 78, "tesnet")
    assert config.read_text() == f'network = "{shared_definition}"\n'
    config.write_text('network = "near.toml"\n')
    assert user.run("config", "get", "network").text == f"{config.parent / 'near.toml'}\n"
    config.write_text('download = "~/x"\n')
    assert Person(user.home, "", extra={"HOME": "/home/me"}).run("config", "get", "download").text == "/home/me/x\n"


def test_a_change_that_does_not_show_is_remarked_on(user: Person) -> None:
    hurried = Person(user.home, "", extra={"SESSION_TIMEOUT": "3"})
    done = hurried.run("config", "set", "timeout", "9")
    assert done.stderr == "session: Set, but 3 counts here: it comes from environment SESSION_TIMEOUT.\n"
    (shown,) = hurried.run("config", "set", "timeout", "9", "--json").objects
    assert (shown["value"], shown["origin"]) == (3, "environment SESSION_TIMEOUT")
    assert user.run("config", "set", "timeout", "10").stderr == ""
    assert user.run("config", "set", "--profile", "work", "timeout", "11").stderr == ""


def test_nothing_to_take_out(user: Person, home: Path) -> None:
    done = user.run("config", "unset", "timeout")
    assert (done.stdout, done.stderr) == (b"", f"session: timeout was not set in {home}/config/config.toml.\n")
    assert not home.exists()
    (shown,) = user.run("config", "unset", "timeout", "--json").objects
    assert (shown["value"], shown["origin"]) == (None, "default")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("get", "timout"), "There is no setting 'timout'. Did you mean timeout?"),
        (("set", "download-name", "id"), "Did you mean download_name"),
        (("unset", "xyz"), "There is no setting 'xyz'. See session config list"),
        (("unset", "profiles"), "There is no setting"),
        (("set", "timeout", "soon"), "timeout: must be a number of seconds above 0, not 'soon'."),
        (("set", "timeout", "1e10"), "at most 1000000000"),
        (("set", "quiet", "maybe"), "quiet: must be true or false"),
        (("set", "color", ""), "color: must be auto, always or never"),
        (("set", "pager", ""), "pager: must not be empty"),
        (("set", "profile", "a b"), "profile: A profile name has"),
        (("set", "proxy", "127.0.0.1:9050"), "proxy: A proxy is given as"),
        (("set", "--profile", "work", "profile", "x"), "leave out --profile"),
        (("set", "timeout"), "VALUE"),
        (("list", "timeout"), "timeout"),
    ],
    ids=str,
)
def test_errors_of_usage(arguments: tuple[str, ...], words: str, user: Person, home: Path) -> None:
    check_refusal(user.try_run("config", *arguments), 2, words)
    check_json_refusal(user.try_run("config", *arguments, "--json"), 2, "usage")
    assert not home.exists()


# Wrong files.


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("\ntimeout = 'soon'\n", "2: timeout: ", "must be a number of seconds above 0"),
        ("timeout = true\n", "1: timeout: ", "must be a number"),
        ("timeout = nan\n", "1: timeout: ", "must be a number"),
        ("# x\nquiet = 'yes'\n", "2: quiet: ", "must be true or false, without quotes"),
        ("network = 5\n", "1: network: ", "must be a text in quotes"),
        ("proxy = ''\n", "1: proxy: ", "A proxy is given as"),
        ("proxy = 'socks5://user:secret@127.0.0.1:9050'\n", "1: proxy: ", "socks5h://"),
        ("color = 'blue'\n", "1: color: ", "must be auto, always or never, not 'blue'."),
        ("tiemout = 3\n", "1: tiemout: ", "There is no such setting. Did you mean timeout?"),
        ("[timeout]\nx = 1\n", "1: timeout: ", "must be a number"),
        ("[profile.work]\ntimeout = 1\n", "1: profile: ", "must be a text"),
        ("profiles = 3\n", "1: profiles: ", "must hold a table for each profile"),
        ("[profiles]\ntimeout = 3\n", "2: profiles.timeout: ", "must be a table"),
        ("[profiles.'a b']\n", '1: profiles."a b": ', "A profile name"),
        ("\n[profiles.work]\n\nprofile = 'x'\n", "4: profiles.work.profile: ", "can't be set for a profile"),
        ('a = """\n\n"""\nb = 1\n', "1: a: ", "There is no such setting."),
        ("[profiles.'a.b']\ntimeout = 0\n", '2: profiles."a.b".timeout: ', "--profile a.b timeout"),
        ("profiles.work = {quiet = true, timeout = 0}\n", "1: profiles.work.timeout: ", "above 0"),
        ("timeout = 1\ntimeout = 2\n", "2: ", "This is no TOML: Cannot overwrite a value."),
        ("timeout = \n", "1: ", "This is no TOML: "),
        ("timeout = [1,\n", "2: ", "This is no TOML: "),
        ("timeout = 0\nquiet = 1\nnonsense = 1\n", "1: timeout: ", "(the first of 3 errors)"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(text: str, place: str, words: str, user: Person, config: Path) -> None:
    config.write_text(text)
    for command in (("whoami",), ("recv",), ("network", "status"), ("config", "get", "timeout"), ("config", "list")):
        done = user.try_run(*command)
        assert done.code == 78, command
        assert done.stderr.startswith(f"session: {config}:{place}"), command
        assert words in done.stderr
        assert done.stderr.count("\n") == 1
        assert "secret" not in done.stderr
    assert user.run("config", "path").text == f"{config}\n"
    *_, error = user.try_run("config", "list", "--json").objects
    assert (error["code"], error["error"]) == (78, "invalid_config")


def test_the_repair_that_is_proposed_helps(user: Person, config: Path) -> None:
    config.write_text("tiemout = 3\nquiet = 1\ncolor = 5\n[profiles.work]\nprofile = 'x'\ntimeout = 0\n")
    for _ in range(5):
        done = user.try_run("config", "list")
        assert done.code == 78
        remedy = done.stderr.partition(" or: session ")[2].partition(" (")[0].split()
        user.run(*remedy)
    assert user.run("config", "list").stderr == ""
    assert config.read_text() == "[profiles.work]\n"


def test_a_wrong_value_is_repaired_by_a_right_one(user: Person, config: Path) -> None:
    config.write_text("timeout = 'soon' # seconds\n")
    user.run("config", "set", "timeout", "20")
    assert config.read_text() == "timeout = 20 # seconds\n"


def test_a_file_that_is_no_toml_is_never_changed(user: Person, config: Path) -> None:
    for text in (b"timeout = \n", b"\xff = 1\n", b"quiet = true\n\n# caf\xe9\n"):
        config.write_bytes(text)
        for change in (("set", "timeout", "3"), ("unset", "timeout")):
            check_refusal(user.try_run("config", *change), 78, f"{config}:{3 if b'caf' in text else 1}: ")
        assert config.read_bytes() == text


def test_a_value_in_the_way_of_a_table_is_left_alone(user: Person, config: Path) -> None:
    config.write_text("profiles = 3\n")
    check_refusal(user.try_run("config", "set", "--profile", "work", "timeout", "3"), 78, "profiles.work.timeout")
    assert config.read_text() == "profiles = 3\n"


def test_a_file_that_cant_be_read(user: Person, config: Path) -> None:
    config.mkdir()
    for command in (("whoami",), ("config", "list"), ("config", "set", "timeout", "3")):
        check_refusal(user.try_run(*command), 66, str(config))


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is forbidden to the superuser")
def test_a_folder_that_cant_be_written(user: Person, config: Path) -> None:
    config.write_text("timeout = 3\n")
    config.parent.chmod(0o500)
    try:
        check_refusal(user.try_run("config", "set", "timeout", "4"), 74, str(config.parent))
        assert user.run("config", "get", "timeout").text == "3\n"
    finally:
        config.parent.chmod(0o700)
    assert config.read_text() == "timeout = 3\n"


def test_a_folder_that_cant_be_made(home: Path, user: Person) -> None:
    home.write_text("in the way")
    check_refusal(user.try_run("config", "set", "timeout", "4"), 74, str(home))


def test_a_full_disk(user: Person, config: Path) -> None:
    config.write_text("timeout = 3 # mine\n")
    done = subprocess.run(
        ["sh", "-c", 'ulimit -f 0; "$@" config set timeout 4', "sh", *SESSION],
        env=user.environment | {"PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        check=False,
    )
    check_refusal(Done(done.returncode, done.stdout, done.stderr.decode()), 74, str(config))
    assert config.read_text() == "timeout = 3 # mine\n"
    assert temporary_files(config.parent) == []


# Links, and several at once.


def test_a_symbolic_link_stays_one(user: Person, config: Path, tmp_path: Path) -> None:
    target = tmp_path / "dotfiles" / "session.toml"
    target.parent.mkdir()
    target.write_text("timeout = 3 # mine\n")
    config.symlink_to(target)
    user.run("config", "set", "timeout", "4")
    assert config.readlink() == target
    assert target.read_text() == "timeout = 4 # mine\n"
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert [path.name for path in target.parent.iterdir()] == ["session.toml"]
    target.unlink()
    user.run("config", "set", "quiet", "true")
    assert config.readlink() == target
    assert target.read_text() == "quiet = true\n"


def test_changes_at_once_lose_nothing(user: Person) -> None:
    def put(number: int) -> None:
        user.run("config", "set", "--profile", f"p{number}", "timeout", str(number + 1))

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(put, range(12)))
    for number in range(12):
        assert user.run("config", "get", "timeout", "--profile", f"p{number}").text == f"{number + 1}\n"


def test_killed_at_any_moment_the_file_is_whole(user: Person, config: Path) -> None:
    config.write_text("# mine\ntimeout = 1\n")
    began = time.monotonic()
    user.run("config", "set", "timeout", "2")
    takes = time.monotonic() - began
    for number in range(3, 15):
        before = config.read_text()
        with user.start("config", "set", "timeout", str(number)) as process:
            time.sleep(random.uniform(0.5, 1.1) * takes)
            process.kill()
        assert config.read_text() in (before, f"# mine\ntimeout = {number}\n")
    user.run("config", "set", "timeout", "99")
    assert config.read_text() == "# mine\ntimeout = 99\n"


def test_ended_by_sigterm_nothing_is_left_behind(user: Person, config: Path) -> None:
    for number in range(1, 8):
        with user.start("config", "set", "timeout", str(number)) as process:
            time.sleep(random.uniform(0.05, 0.4))
            process.terminate()
        assert temporary_files(config.parent) == []


def test_a_reader_of_the_list_may_leave_early(user: Person) -> None:
    script = '"$@" config list --json | head -n 1'
    done = subprocess.run(["sh", "-c", script, "sh", *SESSION], env=user.environment, capture_output=True, check=True)
    assert json_object(done.stdout)["name"] == "profile"
    assert done.stderr == b""


def test_only_get_shows_the_password_of_a_proxy(user: Person) -> None:
    secret = "pass@w0rd"
    url = f"socks5h://user:{secret}@127.0.0.1:1"
    masked = "socks5h://***@127.0.0.1:1"
    user.extra = {"SESSION_PROXY": url}
    shown = [
        user.run("config", "list"),
        user.run("config", "list", "--origin"),
        user.run("config", "list", "--json"),
        user.run("config", "set", "proxy", "http://127.0.0.1:2"),
        user.run("config", "set", "proxy", "http://127.0.0.1:2", "--json"),
        user.run("config", "unset", "proxy", "--json"),
        user.try_run("config", "set", "proxy", f"socks5://user:{secret}@127.0.0.1:1"),
        user.try_run("config", "set", "proxy", "socks5h://user:12/w0rd@127.0.0.1:1"),
    ]
    for done in shown[:-2]:
        assert masked in done.text + done.stderr
    for done in shown:
        assert "w0rd" not in done.text + done.stderr
    assert [done.code for done in shown[-2:]] == [2, 2]
    assert user.run("config", "get", "proxy").text == f"{url}\n"
    (found,) = user.run("config", "get", "proxy", "--json").objects
    assert found["value"] == url
