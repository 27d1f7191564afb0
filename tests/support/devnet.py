"""Local networks for tests, and people who use the installed program on them."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.contract import check_output, json_object
from tests.support.forks import SESSION, TIMEOUT_S, run_session

__all__ = ["SESSION", "TIMEOUT_S", "Done", "Person"]


@dataclass(frozen=True, slots=True)
class Done:
    """How a run of the program ended."""

    code: int
    stdout: bytes
    stderr: str

    @property
    def text(self) -> str:
        return self.stdout.decode()

    @property
    def lines(self) -> list[str]:
        return self.text.splitlines()

    @property
    def objects(self) -> list[dict[str, Any]]:
        """Standard output as JSON lines."""
        return [json_object(line) for line in self.lines]


@dataclass(slots=True)
class Person:
    """A home folder of their own and the program to run in it, as a user without a terminal would."""

    home: Path
    network: Path | str
    id: str = ""
    extra: Mapping[str, str] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        """As bare as cron's: nothing of the developer's own reaches the program."""
        kept = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH", "SYSTEMROOT") if name in os.environ}
        return {**kept, "SESSION_HOME": str(self.home), "SESSION_NETWORK": str(self.network), **self.extra}

    def try_run(self, *arguments: str, stdin: bytes = b"") -> Done:
        """Run `session` with these arguments, however it ends; what it prints as JSON must be as promised."""
        done = run_session(arguments, self.environment, stdin)
        check_output(arguments, done.stdout)
        return Done(done.returncode, done.stdout, done.stderr.decode())

    def run(self, *arguments: str, stdin: bytes = b"") -> Done:
        """Run `session` with these arguments; it must succeed."""
        done = self.try_run(*arguments, stdin=stdin)
        assert done.code == 0, f"session {' '.join(arguments)} ended with {done.code}: {done.stderr}"
        return done

    def start(self, *arguments: str, **options: Any) -> subprocess.Popen[bytes]:
        """Start `session`, and leave it running."""
        return subprocess.Popen([*SESSION, *arguments], env=self.environment, **options)

    def init(self, *arguments: str) -> Person:
        """Make this person's account."""
        self.id = self.run("init", "--quiet", *arguments).text.strip()
        return self

    def second_device(self, name: str = "laptop") -> Person:
        """The same account in a home of its own, with nothing fetched yet."""
        other = Person(self.home.with_name(f"{self.home.name}-{name}"), self.network, self.id, self.extra)
        other.run("restore", "--quiet", "--expect", self.id, stdin=self.run("phrase", "--yes").stdout)
        return other

    def receive(self, *arguments: str) -> list[dict[str, Any]]:
        """What `recv --json` shows."""
        return self.run("recv", "--json", *arguments).objects
