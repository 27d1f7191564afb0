"""`demo`: two accounts talk over a local network, with the real commands, and everything they claim is checked."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import typer

from .. import signals
from ..errors import SessionError
from .context import App
from .devnet import load_devnet
from .json_output import json_object
from .text import human_size
from .typer_app import single_command

if TYPE_CHECKING:
    from ..devnet.network import Devnet
    from ..devnet.request_log import RequestRecord

TEXT = "Hi Bob. Here nobody else listens."
ANSWER = "Yes. Here is the plan, as a file."
FILE_BYTES = 2_000_000
_COMMAND_TIMEOUT_S = 60


class DemoFailed(SessionError):
    """A step of the demo did not do what it should."""

    slug = "demo_failed"


def demo(ctx: typer.Context) -> None:
    """Watch two new accounts exchange messages and a file over a local network of service nodes.

    Nothing leaves this machine and nothing stays on it. Succeeds only if every step did what it should.
    """
    app: App = ctx.obj
    devnet = load_devnet()
    from ..devnet.options import DevnetOptions

    with signals.raising(), tempfile.TemporaryDirectory(prefix="session-demo-") as temporary:
        folder = Path(temporary)
        with devnet(DevnetOptions(data_dir=folder / "network")) as network:
            _Demo(app, network, folder).play()


class _Person:
    """One of the two: a home of their own, and the real program to run in it."""

    def __init__(self, name: str, folder: Path, definition: Path) -> None:
        self.name = name
        self.id = ""
        self.home = folder / name.lower()
        kept = {key: value for key, value in os.environ.items() if not key.startswith("SESSION_")}
        self._environment = kept | {
            "SESSION_HOME": str(self.home),
            "SESSION_NETWORK": str(definition),
            "NO_COLOR": "1",
        }

    def run(self, *arguments: str, stdin: bytes = b"") -> bytes:
        """Run `session` with these arguments; its standard output. Raises DemoFailed."""
        done = subprocess.run(
            [sys.executable, "-m", "session_cli", *arguments],
            input=stdin,
            capture_output=True,
            env=self._environment,
            timeout=_COMMAND_TIMEOUT_S,
            check=False,
        )
        if done.returncode:
            said = done.stderr.decode(errors="replace").strip()
            raise DemoFailed(f"session {arguments[0]} ended with {done.returncode}: {said}")
        return done.stdout

    def receive(self) -> list[dict[str, Any]]:
        """What is new for this person."""
        return [json.loads(line) for line in self.run("recv", "--json").splitlines()]


class _Demo:
    def __init__(self, app: App, network: Devnet, folder: Path) -> None:
        self._app = app
        self._network = network
        self._folder = folder
        self._paint = app.painter()
        self._started = time.monotonic()
        definition = folder / "network.toml"
        network.write_definition(definition)
        self._alice = _Person("Alice", folder, definition)
        self._bob = _Person("Bob", folder, definition)

    def play(self) -> None:
        self._open()
        self._accounts()
        self._texts()
        self._file()
        self._path()
        self._secrecy()
        seconds = time.monotonic() - self._started
        if self._app.json:
            self._app.emit_json(json_object("demo", ok=True, seconds=round(seconds, 1)))
        self._line()
        self._line(self._paint.bold(f"All of it worked, in {seconds:.0f} seconds."))
        self._line("Make your own account with: session init --name YOU")

    # Telling.

    def _line(self, text: str = "") -> None:
        if not self._app.json:
            self._app.emit(text)

    def _title(self, text: str) -> None:
        self._line()
        self._line(self._paint.bold(text))

    def _shell(self, person: _Person, command: str) -> None:
        self._line(f"  {self._paint.name(person.name.lower() + ' $')} {command}")

    def _check(self, fact: bool, text: str) -> None:
        if not fact:
            self._fail(text)
        self._line(f"  {self._paint.dim('✓ ' + text)}")

    def _fail(self, text: str) -> NoReturn:
        raise DemoFailed(f"This should be true and isn't: {text}")

    # The acts.

    def _open(self) -> None:
        swarms = {node.swarm_id for node in self._network.nodes}
        self._line(self._paint.bold("A small Session network"))
        self._line(
            f"  {len(self._network.nodes)} service nodes in {len(swarms)} swarms, a seed node and a file server are"
        )
        self._line("  running on this machine, and speak the protocol of the real network.")

    def _accounts(self) -> None:
        self._title("Two accounts, without phone number or e-mail")
        for person in (self._alice, self._bob):
            self._shell(person, f"session init --name {person.name}")
            person.id = person.run("init", "--name", person.name, "--quiet").decode().strip()
            self._line(f"  {person.id}")
        self._check(len({self._alice.id, self._bob.id}) == 2, "two ids, made offline")

    def _texts(self) -> None:
        self._title("A message each way")
        self._talk(self._alice, self._bob, TEXT)
        self._talk(self._bob, self._alice, ANSWER)
        self._check(not self._bob.receive(), "a second recv shows nothing again")

    def _talk(self, sender: _Person, recipient: _Person, text: str) -> None:
        self._shell(sender, f'echo "{text}" | session send {recipient.id[:8]}… -')
        sender.run("send", recipient.id, "-", stdin=text.encode() + b"\n")
        self._shell(recipient, "session recv --type message --json | jq -r .body")
        received = [event for event in recipient.receive() if event["type"] == "message"]
        for event in received:
            self._line(f"  {event['body']}")
        self._check(
            [(event["body"], event["sender"]["id"]) for event in received] == [(text, sender.id)],
            f"{recipient.name} has it, signed by {sender.name}",
        )

    def _file(self) -> None:
        self._title("A file through a pipe")
        data = os.urandom(FILE_BYTES)
        digest = hashlib.sha256(data).hexdigest()
        self._shell(self._bob, f"head -c {FILE_BYTES} /dev/urandom | session attach send {self._alice.id[:8]}… -")
        self._bob.run("attach", "send", self._alice.id, "-", "--name", "plan.bin", stdin=data)
        (event,) = [event for event in self._alice.receive() if event["type"] == "message"]
        (attachment,) = event["attachments"]
        self._line(f"  sha256 {digest[:32]}…  {human_size(FILE_BYTES)}")
        self._shell(self._alice, f"session attach save {event['id']} -o - | sha256sum")
        saved = self._alice.run("attach", "save", str(event["id"]), "-o", "-")
        self._line(f"  sha256 {hashlib.sha256(saved).hexdigest()[:32]}…  {human_size(len(saved))}")
        self._check(attachment["name"] == "plan.bin" and saved == data, "the same bytes came out")

    def _path(self) -> None:
        self._title("The way of Bob's last message")
        path = self._last_path()
        sees = [
            "sees Bob's address, not where it goes",
            "sees its neighbours, nothing else",
            "sees which node is asked, not by whom",
            "sees an id and ciphertext, not the sender",
        ]
        for record, knows in zip(path, sees, strict=True):
            node = self._network.nodes[record.node or 0]
            role = "swarm" if record.role == "destination" else str(record.role)
            size = human_size(record.layer_bytes)
            self._line(f"  {role:<7} {node.ip:<15} {size:>7}  {self._paint.dim(knows)}")
        self._line("  Each hop took off one layer of encryption: the sizes shrink by what that took.")

    def _last_path(self) -> list[RequestRecord]:
        """What the nodes on the way of the last stored message noted, guard first.

        A node notes a request when it has been answered, so that the destination's record comes first in the log.
        """
        log = self._network.request_log
        stores = [number for number, record in enumerate(log) if record.kind == "storage" and record.method == "store"]
        path: list[RequestRecord] = []
        for record in log[stores[-1] :] if stores else []:
            starts = not path and record.role == "destination"
            if starts or (path and record.following == path[0].node and record.node == path[0].previous):
                path.insert(0, record)
        nodes = {record.node for record in path}
        whole = len(path) == len(nodes) == 4 and path[0].role == "guard"
        self._check(whole, "three hops to a member of the swarm, all different")
        return path

    def _secrecy(self) -> None:
        self._title("What stayed secret")
        stored = b"".join(path.read_bytes() for path in (self._folder / "network").rglob("*") if path.is_file())
        secrets = [TEXT, ANSWER, "Alice", "plan.bin"]
        self._check(len(stored) > FILE_BYTES, f"the network keeps {human_size(len(stored))} for the two")
        self._check(
            not any(secret.encode() in stored for secret in secrets), "no text, name or file name is readable in it"
        )
        homes = b"".join(path.read_bytes() for path in self._folder.glob("[ab]*/data/**/*") if path.is_file())
        self._check(
            bool(homes) and not any(secret.encode() in homes for secret in secrets),
            "nor on the two people's own disks",
        )


commands = {"demo": single_command("demo", demo)}
