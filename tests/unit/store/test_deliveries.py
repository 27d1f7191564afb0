"""What has to reach a swarm, when several processes are at it."""

from __future__ import annotations

from pathlib import Path

from session_cli.store.database import migrate, open_database, transaction
from session_cli.store.deliveries import Deliveries
from session_cli.store.messages import Messages
from session_cli.store.records import NewDelivery, NewMessage

from .worker import KEY

ALICE = "05" + "a" * 64


def test_only_what_was_meant_is_finished(tmp_path: Path) -> None:
    """A process that is late must not finish another delivery that has got the number, or that was sealed anew."""
    connection = open_database(tmp_path / "store.db", KEY, create=True)
    migrate(connection)
    messages, deliveries = Messages(connection, lambda: 0), Deliveries(connection)

    def queue(number: int) -> int:
        message = NewMessage(ALICE, "outgoing", ALICE, number, "text", "queued")
        message_id = messages.add(message)
        assert message_id is not None
        deliveries.add(message_id, NewDelivery("own", ALICE, 1000, b"sealed", f"hash {number}"))
        return message_id

    with transaction(connection):
        first = queue(1)
        (known,) = deliveries.of_message(first)
        deliveries.finish(known)
        assert deliveries.of_message(first) == []
        second = queue(2)
        deliveries.finish(known)
        (left,) = deliveries.of_message(second)
        deliveries.replace(left.id, b"sealed anew", "hash 3")
        deliveries.finish(left)
        (anew,) = deliveries.of_message(second)
        assert (anew.id, anew.data, anew.hash) == (left.id, b"sealed anew", "hash 3")
    assert messages.queued() == [second]
    connection.close()
