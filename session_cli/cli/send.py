"""`send`: a message, to one recipient or several; or a stream of them."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import EmptyMessage, InvalidInput, MessageTooLong, NetworkError, ServiceRefused, SessionError, UsageError
from . import completing
from .context import App
from .exit_codes import ExitCode, exit_code_of
from .output import json_object, message_json
from .text import harmless
from .typer_app import single_command

if TYPE_CHECKING:
    from ..core.client import Client
    from ..core.model import Message


def send(
    ctx: typer.Context,
    to: Annotated[
        str,
        typer.Argument(
            metavar="TO",
            help="An account id, a known name, or me.",
            show_default=False,
            autocompletion=completing.recipients,
        ),
    ],
    text: Annotated[
        str | None,
        typer.Argument(metavar="[TEXT|-]", help="The message; - or nothing with a pipe: standard input."),
    ] = None,
    more: Annotated[
        list[str] | None,
        typer.Option(
            "--to",
            help="Another recipient; may be repeated.",
            metavar="TO",
            autocompletion=completing.recipients,
        ),
    ] = None,
    attach: Annotated[
        list[Path] | None,
        typer.Option("--attach", "-a", help="Send this file along; may be repeated.", metavar="FILE", readable=False),
    ] = None,
    quote: Annotated[
        int | None,
        typer.Option(
            "--quote",
            help="Answer the message with this id.",
            metavar="ID",
            autocompletion=completing.messages,
        ),
    ] = None,
    queue: Annotated[
        bool, typer.Option("--queue", help="If the network is down, keep it in the outbox, and succeed.")
    ] = False,
    split: Annotated[bool, typer.Option("--split", help="Send a text that is too long in several messages.")] = False,
    lines: Annotated[
        bool, typer.Option("--lines", help="Each line of standard input is a message, sent as it comes.")
    ] = False,
    batch_seconds: Annotated[
        float,
        typer.Option(
            "--batch-seconds",
            help="With --lines: what comes within so many seconds is one message.",
            metavar="SECONDS",
            min=0,
            max=1e6,
        ),
    ] = 0.0,
) -> int:
    """Send a message, and print its id.

    Success means that the recipient's swarm holds the message and has proved it; its owner fetches it from there
    within 14 days. A copy goes to your own other devices. With --queue, success can also mean that it waits in the
    outbox, from where the next send or recv sends it.

    With several recipients each gets a message of their own. If some can't be reached, the exit code is 1.
    """
    app: App = ctx.obj
    recipients = [app.text_argument(name) for name in [to, *(more or [])]]
    if lines:
        if text not in (None, "-") or attach or quote is not None:
            raise UsageError("--lines reads standard input; it excludes a text, --attach and --quote.")
        if math.isnan(batch_seconds):
            raise UsageError("--batch-seconds takes a number of seconds.")
        if sys.stdin.isatty():
            app.note("Each line is a message; Ctrl-D ends.")
        with app.open_client() as client:
            return _send_lines(app, client, recipients, batch_seconds=batch_seconds, queue=queue, split=split)
    if batch_seconds:
        raise UsageError("--batch-seconds goes with --lines.")
    body = _body(app, text, has_files=bool(attach))
    with app.open_client() as client:
        outcomes = Outcomes(app, [client.resolve(name) for name in recipients])
        for part in _parts(body, split=split):
            sent = client.send_to_all(
                recipients, part, attachments=attach or [], quote=quote, queue=queue, progress=app.progress(),
                stop=len(recipients) == 1,
            )  # fmt: skip
            outcomes.show(sent)
            attach, quote = None, None  # once is enough
        return outcomes.exit_code


def _body(app: App, text: str | None, *, has_files: bool) -> str:
    """The text given, or standard input where that was asked for or is the only thing that can be meant."""
    if text is None and has_files:
        return ""
    if text is None and sys.stdin.isatty():
        raise UsageError("What shall be sent? Give the text, or - to type it, or pipe it in.")
    if text is None or text == "-":
        body = app.read_text()
        if not body.strip():
            raise EmptyMessage("There is nothing to send: standard input is empty.")
        return body
    return app.text_argument(text)


def _parts(body: str, *, split: bool) -> Sequence[str]:
    if not split:
        return [body]
    from ..core.sending import split_body

    return split_body(body) or [body]


class Outcomes:
    """Prints what became of each message, and keeps in mind what that says about all of them."""

    def __init__(self, app: App, recipients: Sequence[str]) -> None:
        self._app = app
        self._recipients = list(dict.fromkeys(recipients))
        self._failed: set[str] = set()
        self._problem: SessionError | None = None

    def show(self, sent: Iterator[Message | SessionError]) -> None:
        """Print the outcomes for each recipient in turn, as they come."""
        for recipient in self._recipients:
            outcome = next(sent)
            if isinstance(outcome, SessionError):
                self._failed.add(recipient)
                self._problem = outcome
                self._report(recipient, outcome)
            elif self._app.json:
                self._app.emit_json(message_json(outcome))
            else:
                self._app.emit(str(outcome.id))
        for _ in sent:  # what is done after the last
            raise LookupError("there are more outcomes than recipients")

    def _report(self, recipient: str, error: SessionError) -> None:
        if self._app.json:
            code = int(exit_code_of(error))
            self._app.emit_json(
                json_object("error", code=code, error=error.slug, message=error.message, recipient={"id": recipient})
            )
        self._app.say(f"session: Not sent to {recipient}: {harmless(error.message)}")

    @property
    def exit_code(self) -> int:
        """0 if all got everything, 1 if some did; where nobody did, the code of what kept the last one from it."""
        if self._problem is None:
            return ExitCode.OK
        if len(self._failed) < len(self._recipients):
            return ExitCode.NEGATIVE
        return exit_code_of(self._problem)


def _send_lines(
    app: App, client: Client, recipients: Sequence[str], *, batch_seconds: float, queue: bool, split: bool
) -> int:
    """Send standard input line by line, until its end.

    A line that can't be a message is reported and passed over. Where a message can't be sent, all ends: what comes
    behind it must not overtake it.
    """
    from ..core.sending import MOST_CHARACTERS
    from .line_batches import line_batches

    outcomes = Outcomes(app, [client.resolve(name) for name in recipients])
    refused = False
    with sys.stdin.buffer as stream:
        for text in line_batches(stream.fileno(), batch_seconds, MOST_CHARACTERS):
            try:
                for part in _parts(text, split=split):
                    outcomes.show(client.send_to_all(recipients, part, queue=queue, stop=len(recipients) == 1))
            except (MessageTooLong, InvalidInput) as error:
                refused = True
                app.say(f"session: A line was not sent: {harmless(error.message)}")
            except (NetworkError, ServiceRefused) as error:
                excerpt = harmless(text if len(text) <= 60 else text[:60] + "…")
                app.say(f"session: Ended at the line: {excerpt}")
                raise error
    return outcomes.exit_code or (ExitCode.NEGATIVE if refused else ExitCode.OK)


commands = {"send": single_command("send", send)}
