"""Makes what is generated from the commands: man pages, completions and the prepared top-level help.

    python -m session_cli.cli.manual FOLDER

writes `man/`, `completions/` and `session_cli/cli/help.txt` below FOLDER (the top of the source tree).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import typer
from typer import _click as click
from typer.core import TyperGroup, TyperOption

from .. import __version__
from ..errors import SessionError
from .app import COMMANDS, root_command
from .community_manual import COMMUNITIES, WHO_LEARNS
from .exit_codes import ExitCode, exit_code_of
from .hook import VARIABLES
from .schema import json_schema
from .settings import SETTINGS
from .shell_completion import SCRIPTS
from .typer_app import summary

HELP_WIDTH = 78
"""What the help has to itself on a terminal of 80 columns."""

EXIT_CODES = {
    ExitCode.OK: "Done.",
    ExitCode.NEGATIVE: "A negative or partial answer: nothing came or was found, a recipient, file or hook failed, "
    "store check or doctor found something.",
    ExitCode.USAGE: "The command line makes no sense.",
    ExitCode.DATA: "Bad data: an id, a phrase, an address or a file that is not what it should be.",
    ExitCode.NO_INPUT: "A file or stream that was named can't be read.",
    ExitCode.REFUSED: "A service refused for good: the file is gone, the request not allowed.",
    ExitCode.BUG: "A bug in session.",
    ExitCode.CANT_CREATE: "The account, or a file to be written, exists already.",
    ExitCode.IO: "Reading or writing failed: disk full, read-only, no permission.",
    ExitCode.TEMPORARY: "Temporary: the network can't be reached, no desktop answers, or another process is at it. "
    "Try again.",
    ExitCode.NO_PERMISSION: "The key of the store or of a backup can't be had, or is the wrong one; or only an admin "
    "of the group may do that, or the server of a community does not let you: you may not write, were banned, are no "
    "moderator.",
    ExitCode.NOT_CONFIGURED: "There is no such profile, it belongs to another network, or config.toml has an error.",
    ExitCode.INTERRUPTED: "Interrupted by Ctrl-C.",
    ExitCode.TERMINATED: "Ended by SIGTERM.",
}

ENVIRONMENT = {
    "SESSION_HOME": "One folder for everything: data, config, cache and state below it.",
    **{
        setting.variable: f"{setting.meaning} See {setting.name} in session-config(5)." for setting in SETTINGS.values()
    },
    "SESSION_PASSPHRASE": "The passphrase of a store that has one. Other programs of the same user may see it.",
    "SESSION_PASSPHRASE_FILE": "A file whose first line is the passphrase.",
    "SESSION_PASSPHRASE_COMMAND": "A command that prints the passphrase. Only one of the three may be given.",
    "SESSION_BACKUP_PASSPHRASE": "The passphrase of a backup.",
    "SESSION_BACKUP_PASSPHRASE_FILE": "A file whose first line is the passphrase of a backup.",
    "SESSION_BACKUP_PASSPHRASE_COMMAND": "A command that prints the passphrase of a backup.",
    "SESSION_NEW_PASSPHRASE": "For store rekey, the passphrase to be.",
    "SESSION_NEW_PASSPHRASE_FILE": "A file whose first line is the passphrase to be.",
    "SESSION_NEW_PASSPHRASE_COMMAND": "A command that prints the passphrase to be.",
    "NO_COLOR": "If set, no colours, unless the setting color says always.",
    "PAGER": "The command that shows long output page by page, if the setting pager has no value.",
}

FILES = {
    "DATA/profiles/NAME/messages.db": "The encrypted database (SQLCipher 4's format).",
    "DATA/profiles/NAME/key.json": "How the database's key is found; the key itself only in wrapped form.",
    "CONFIG/keys/NAME.key": "The key file, for profiles that use one. Whoever has it and the data can read both.",
    "CONFIG/config.toml": "Settings; see session-config(5).",
    "CACHE/NETWORK.json": "The public list of service nodes.",
    "CACHE/NETWORK.state.json": "Guards and paths in use, strikes, the clock's offset, what went wrong lately.",
}


def help_text() -> str:
    """The top-level help at 80 columns."""
    command = root_command()
    context = click.Context(command, info_name="session", terminal_width=HELP_WIDTH, **command.context_settings)
    return command.get_help(context) + "\n"


def generated_files() -> dict[str, str]:
    """Path below the source tree → content, of everything that is generated."""
    files = {"session_cli/cli/help.txt": help_text()}
    for path, command in _all_commands():
        files[f"man/man1/session{''.join('-' + part for part in path)}.1"] = _man_page(path, command)
    files["man/man5/session-json.5"] = _json_page()
    files["man/man5/session-chaos.5"] = _chaos_page()
    files["man/man5/session-config.5"] = _config_page()
    for shell, script in SCRIPTS.items():
        files[f"completions/session.{shell}"] = script
    return files


NOTHING_BY_ITSELF = """
Nothing is told, answered or fetched but what stands here. Where a setting is named, it is off by default; see
session-config(5).
"""
TOLD_AND_FETCHED = {
    "name and picture": "Go with every message to somebody else, once there are any: profile set.",
    "groups": "See below.",
    "communities": "See below. Their servers are asked by recv and sync what is new, and see which rooms you read.",
    "requests": "Who wrote to you is told that you accept when you answer, or with request accept. Decline and block "
    "tell nothing. No file of a stranger is saved by recv, and no receipt or call of one counts.",
    "what was read": "Told when you mark it with read or recv --mark-read, and shown of others; setting read_receipts.",
    "typing": "Told with send --typing only; shown with the setting typing.",
    "saved files": "Told with the setting saved_notices.",
    "deletion": "A message is deleted here when its author asks for it, or another device of yours, and nobody else.",
    "disappearing messages": "Disappear here when their time has come, as they do for others.",
    "files and pictures": "Fetched when you ask for them: attach save, recv --download, profile show --avatar-out.",
    "links": "Never fetched; what is shown of one is what the sender says.",
    "calls": "Never answered.",
}

GROUPS = """
A group is a conversation of up to 100 people, end-to-end encrypted as all others. It is an account of its own: its id
begins with 03, and its messages lie for 14 days in a swarm that is told by the id. It is named wherever a person can
be: send, attach, react, unsend, read and log work there as they do with people; session group makes groups and looks
after them. Below is who learns what.
"""
IN_GROUPS = {
    "members": "See who else is in the group, or invited: ids, and the names and pictures that they gave. So does "
    "whoever is added later. What somebody writes carries a signature, which names its sender to all of them.",
    "admins": "Are those who know the group's secret: who made it, and whom an admin has sent it. Nobody can take that "
    "back, and no admin can remove another. Give it to those alone whom you trust for good.",
    "the invited": "Can read what is written from then on, and are seen as invited, until they accept or an admin "
    "removes them. To decline tells nobody.",
    "newcomers": "Read what is written after they were added; with invite --history, what the swarm still has, too.",
    "the removed": "Are told, and can read nothing that is written from then on: the group takes another key, which "
    "they do not get, and its swarm refuses them. This program deletes what they had read; others may keep it.",
    "servers": "Hold the messages, the list of members and the keys for 14 to 30 days, all of it encrypted. They know "
    "no member's id: each has a key of their own to the swarm, by which nobody can tell who it is. They see when "
    "something is stored, and by which of these keys.",
    "others": "Learn nothing, not even that there is such a group.",
}

ONE_ACCOUNT = """
What the devices of an account share lies encrypted in its swarm, for those alone who have the recovery phrase. It is in
the form of all Session apps, and kept for 30 days after a device last looked. Changes are noted here, offline too; they
go out, and those of other devices come in, with recv, restore and sync. Other commands that use the network bring out
what was changed of the profile, contacts and conversations.
"""
SHARED = {
    "your profile": "Name, picture, and whether notes to self are pinned, hidden, or disappear.",
    "contacts": "Ids, names and pictures of people, the nicknames you give, whom you have approved or blocked, and "
    "who has approved you; whom you delete is deleted everywhere.",
    "groups": "Which you are in, their names, and the keys with which you are.",
    "communities": "Which rooms you have joined.",
    "conversations": "Whether they are pinned, muted or hidden, and how they disappear.",
    "what was read": "Up to where in each conversation, for 30 days, and which you marked as unread.",
    "messages": "Come to each device for 14 days, your own as copies; reactions and deletions likewise.",
    "never shared": "The outbox, saved files, settings, cursors and what they have shown, message ids, the key of the "
    "store.",
}


def _all_commands() -> Iterator[tuple[tuple[str, ...], click.Command]]:
    root = root_command()
    context = click.Context(root, info_name="session")
    yield (), root
    for name in COMMANDS:
        command = root.get_command(context, name)
        if command is None:
            raise LookupError(name)
        yield (name,), command
        if isinstance(command, TyperGroup):
            for sub_name, sub_command in command.commands.items():
                yield (name, sub_name), sub_command


# Manual pages, in the man macros.


def _troff(text: str) -> str:
    escaped = text.replace("\\", "\\e").replace("-", "\\-")
    return "\n".join("\\&" + line if line.startswith((".", "'")) else line for line in escaped.split("\n"))


def _head(title: str, section: int, one_line: str) -> list[str]:
    name = title.replace(" ", "-")
    return [
        f'.TH "{name.upper()}" "{section}" "" "session {__version__}" "Session for the shell"',
        ".SH NAME",
        _troff(name) + " \\- " + _troff(one_line.rstrip(".")),
    ]


def _definitions(rows: dict[str, str]) -> list[str]:
    lines = []
    for term, meaning in rows.items():
        lines += [".TP", f"\\fB{_troff(term)}\\fR", _troff(meaning)]
    return lines


def _man_page(path: tuple[str, ...], command: click.Command) -> str:
    root = root_command()
    context = click.Context(root, info_name="session", **root.context_settings)
    for part in path:
        context = click.Context(command, info_name=part, parent=context)
    opening, _, rest = (command.help or "").strip().partition("\n\n")
    lines = _head(" ".join(("session", *path)), 1, summary(command))
    usage = " ".join(command.collect_usage_pieces(context))
    lines += [".SH SYNOPSIS", f"\\fB{_troff(' '.join(('session', *path)))}\\fR {_troff(usage)}"]
    lines += [".SH DESCRIPTION", _troff(" ".join(opening.split()))]
    for paragraph in rest.strip().split("\n\n"):
        if paragraph.strip():
            lines += [".PP", _troff(" ".join(paragraph.split()))]
    if not path:
        lines += [".SH COMMANDS", *_definitions({name: summary for name, (_, summary) in COMMANDS.items()})]
    elif isinstance(command, TyperGroup):
        lines += [".SH COMMANDS", *_definitions({name: summary(sub) for name, sub in command.commands.items()})]
    arguments, own, shared = _parameters(command, context, top=not path)
    for title, rows in (("ARGUMENTS", arguments), ("OPTIONS", own)):
        if rows:
            lines += [f".SH {title}", *_definitions(rows)]
    if path:
        lines += [".SH GLOBAL OPTIONS", "Every command takes these, before or after its name."]
    lines += _definitions(shared) if path else []
    if not path:
        lines += [".SH WHAT OTHERS ARE TOLD, AND WHAT IS FETCHED", *_paragraphs(NOTHING_BY_ITSELF)]
        lines += _definitions(TOLD_AND_FETCHED)
        lines += [".SH GROUPS", *_paragraphs(GROUPS), *_definitions(IN_GROUPS)]
        lines += [".SH COMMUNITIES", *_paragraphs(COMMUNITIES), *_definitions(WHO_LEARNS)]
        lines += [".SH WHAT YOUR DEVICES SHARE", *_paragraphs(ONE_ACCOUNT), *_definitions(SHARED)]
        codes = {str(int(code)): meaning for code, meaning in EXIT_CODES.items()}
        lines += [".SH EXIT STATUS", *_definitions(codes), ".PP", "Every other number means failure."]
        lines += [".SH ENVIRONMENT", *_definitions(ENVIRONMENT)]
        lines += [
            ".SH FILES",
            "DATA, CONFIG and CACHE are the system's usual places for a program's data, or folders below SESSION_HOME.",
            *_definitions(FILES),
        ]
    else:
        lines += [".SH EXIT STATUS", "0 if it is done; for the other codes see \\fBsession\\fR(1)."]
    return "\n".join([*lines, *_see_also(_neighbours(path, command))]) + "\n"


def _neighbours(path: tuple[str, ...], command: click.Command) -> list[str]:
    """The pages to read next: those above, those below, and the formats of files that matter."""
    above = ["-".join(("session", *path[:length])) for length in range(len(path))]
    names: Iterable[str] = COMMANDS if not path else command.commands if isinstance(command, TyperGroup) else ()
    below = ["-".join(("session", *path, name)) for name in names]
    pages = {"devnet": "session-chaos(5)", "config": "session-config(5)"}
    formats = [page for command_name, page in pages.items() if not path or path[0] == command_name]
    recipes = (
        ["session-recipes(7)"]
        if not path or path[0] in ("send", "recv", "cursor", "outbox", "backup", "community")
        else []
    )
    return [*(f"{name}(1)" for name in (*above, *below)), *formats, "session-json(5)", *recipes]


def _see_also(pages: Iterable[str]) -> list[str]:
    linked = (f"\\fB{_troff(page[:-3])}\\fR{page[-3:]}" for page in pages)
    return [".SH SEE ALSO", ", ".join(linked)]


def _parameters(
    command: click.Command, context: click.Context, *, top: bool
) -> tuple[dict[str, str], dict[str, str], dict[str, str]]:
    """Arguments, own options and global options, as term → meaning."""
    arguments: dict[str, str] = {}
    own: dict[str, str] = {}
    shared: dict[str, str] = {}
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if record is None:
            continue
        if not isinstance(parameter, TyperOption):
            arguments[record[0]] = record[1].strip()
        elif parameter.expose_value or top or parameter.name == "help":
            own[record[0]] = record[1].strip()
        else:
            shared[record[0]] = record[1].strip()
    return arguments, own, shared


def _json_page() -> str:
    schema = json_schema()
    lines = _head("session-json", 5, "what session prints with --json")
    lines += [".SH DESCRIPTION", _troff("With --json every command prints one object a line, in UTF-8.")]
    lines += [".PP", _troff(schema["description"]), ".PP"]
    lines += [_troff("Each object has v (the version, 1) and type. The types:")]
    common: dict[str, Any] = {}
    for reference in schema["oneOf"]:
        name = reference["$ref"].rpartition("/")[2]
        definition = schema["$defs"][name]
        lines += [f".SH {name.upper().replace('_', ' ')}", _troff(definition["description"])]
        known = [field for field, value in definition["properties"].items() if field in common and "$ref" in value]
        rest = {field: value for field, value in definition["properties"].items() if field not in known}
        lines += _definitions(dict(_fields({"properties": rest}, schema)))
        if known:
            lines += [".PP", _troff(f"As in a message: {', '.join(known)}.")]
        elif name == "message":
            common = {field: value for field, value in rest.items() if "$ref" in value}
    lines += [
        ".SH ATTACHMENT",
        "Inside of a message.",
        *_definitions(dict(_fields(schema["$defs"]["attachment"], schema))),
    ]
    lines += [
        ".SH VARIABLES",
        "What a command of recv --exec finds in its environment, beside the object on its standard input:",
    ]
    lines += _definitions(VARIABLES)
    lines += [".SH ERRORS", "The names that an error can have, with the exit code of each:"]
    lines += _definitions({error.slug: str(int(_code(error))) for error in _errors(SessionError)})
    lines += _see_also(["session(1)"])
    return "\n".join(lines) + "\n"


def _chaos_page() -> str:
    from .chaos_manual import EXAMPLE, INTRODUCTION, WHEN_AND_WHERE, kinds

    lines = _head("session-chaos", 5, "faults of a local network")
    lines += [".SH DESCRIPTION", *_paragraphs(INTRODUCTION)]
    lines += [".SH EXAMPLE", ".nf", _troff(EXAMPLE), ".fi"]
    lines += [".SH WHERE AND WHEN", *_definitions(WHEN_AND_WHERE)]
    for title, rows in kinds().items():
        lines += [f".SH {title.upper()}", *_definitions(rows)]
    lines += _see_also(["session-devnet-run(1)", "session-devnet-exec(1)"])
    return "\n".join(lines) + "\n"


def _config_page() -> str:
    from .config_manual import ERRORS, EXAMPLE, FILE, INTRODUCTION, PRECEDENCE, settings

    lines = _head("session-config", 5, "settings of session")
    lines += [".SH DESCRIPTION", *_paragraphs(INTRODUCTION), ".SH PRECEDENCE", *_paragraphs(PRECEDENCE)]
    lines += [".SH FILE", *_paragraphs(FILE), ".SH EXAMPLE", ".nf", _troff(EXAMPLE), ".fi"]
    lines += [".SH SETTINGS", *_definitions(settings()), ".SH ERRORS", *_paragraphs(ERRORS)]
    lines += _see_also(["session(1)", "session-config(1)"])
    return "\n".join(lines) + "\n"


def _paragraphs(text: str) -> list[str]:
    paragraphs = [_troff(" ".join(paragraph.split())) for paragraph in text.strip().split("\n\n")]
    return "\n.PP\n".join(paragraphs).split("\n")


def _fields(definition: dict[str, Any], schema: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, field in definition.get("properties", {}).items():
        resolved = _resolved(field, schema)
        if "const" in resolved:
            yield prefix + name, f"Always {json.dumps(resolved['const'])}."
            continue
        options = [_resolved(option, schema) for option in resolved.get("oneOf", [resolved])]
        inner = next((option for option in options if option.get("type") == "object"), None)
        yield prefix + name, " ".join(filter(None, (_type_name(resolved, options), resolved.get("description", ""))))
        if inner is not None and "v" not in inner.get("properties", {}):
            yield from _fields(inner, schema, f"{prefix}{name}.")


def _resolved(field: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    """A field, or what it refers to."""
    found: dict[str, Any] = schema["$defs"][field["$ref"].rpartition("/")[2]] if "$ref" in field else field
    return found


def _type_name(field: dict[str, Any], options: list[dict[str, Any]]) -> str:
    if "enum" in field:
        return "One of " + ", ".join(field["enum"]) + "."
    kinds = field.get("type") or [option["type"] for option in options]
    words = [kinds] if isinstance(kinds, str) else kinds
    return " or ".join(word.capitalize() if not index else word for index, word in enumerate(words)) + "."


def _errors(kind: type[SessionError]) -> list[type[SessionError]]:
    """All leaves of the tree of errors, and those inner classes that are raised themselves."""
    found = [kind] if kind is not SessionError else []
    for child in kind.__subclasses__():
        if child.__module__ == SessionError.__module__:
            found += _errors(child)
    return found


def _code(kind: type[SessionError]) -> ExitCode:
    return exit_code_of(kind.__new__(kind))


def main() -> None:
    """Write all generated files below the folder named on the command line."""
    top = Path(sys.argv[1])
    for name, content in generated_files().items():
        path = top / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
        typer.echo(name)


if __name__ == "__main__":
    main()
