"""What `session-config(5)` says: the words around, and from the table of settings what each is and takes."""

from __future__ import annotations

from .settings import SETTINGS, Setting

INTRODUCTION = """
What session does by default is told by settings. They stand in the file config.toml, whose place session config path
prints; without the file everything has its default. session config changes it, or any editor.
"""

PRECEDENCE = """
A setting can have a value in several places. The first that has one counts: an option of the command line, a variable
of the environment, the table [profiles.NAME] of the profile chosen, the top level of the file, the default.

An empty variable counts as none. session config list --origin shows what counts, and where it comes from.
"""

FILE = """
The file is TOML, in UTF-8. At its top stand the settings for all profiles; a table [profiles.NAME] after them holds
those of one profile. The setting profile can stand at the top only.

A path in the file may begin with ~ for the home folder; a relative one begins at the folder of the file.

session config set and unset leave comments and layout as they are. The file is replaced in one step, and readable by
its owner alone. If it is a symbolic link, as some keep it, the file that it leads to is replaced.

Settings never hold a secret, except perhaps the password of a proxy in its address; session config set proxy - reads
the address from standard input, so that others can't see it in the list of processes.
"""

EXAMPLE = """\
timeout = 30
download = "~/Downloads"

# What cron runs.
[profiles.monitor]
proxy = "socks5h://127.0.0.1:9050"
quiet = true
"""

ERRORS = """
A name that is no setting, or a value that it does not take, is an error that names the file, the line and the setting.
Every command that needs a setting ends with 78 then; so nothing goes out by another way than its owner thinks. session
config list shows what is right, and reports the rest; session config unset takes out the entry that is wrong.

Nonsense in a variable of the environment is an error of usage (2), as it is in an option.
"""


def settings() -> dict[str, str]:
    """Each setting with its meaning, values, default and the names that it has elsewhere."""
    return {setting.name: _described(setting) for setting in SETTINGS.values()}


def _described(setting: Setting[object]) -> str:
    elsewhere = " and ".join(filter(None, (setting.option, setting.variable)))
    default = setting.default_text
    if setting.default_variable:
        default = f"what the variable {setting.default_variable} says, else {default}"
    return f"{setting.meaning} Takes {setting.kind.expects}. Default: {default}. Elsewhere: {elsewhere}."
