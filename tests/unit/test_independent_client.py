"""What another client really stored: every byte of it must be read, whatever it does differently."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from session_cli.protocol import content as contents
from session_cli.protocol import session_v1, storage_rpc
from session_cli.protocol.account import Identity
from session_cli.protocol.attachment import AttachmentKey, parse_download_url
from session_cli.protocol.payload import VisibleMessage
from tests.support.vectors import VECTORS

RECORDING = json.loads((VECTORS / "sessionjs" / "messages.json").read_text())
ACCOUNTS = {name: Identity.from_seed(bytes.fromhex(a["seed"])) for name, a in RECORDING["accounts"].items()}
CASES = RECORDING["cases"]


def test_accounts() -> None:
    for name, account in RECORDING["accounts"].items():
        assert ACCOUNTS[name].account_id == account["account_id"]
        assert ACCOUNTS[name].ed25519_public.hex() == account["ed25519_pubkey"]


@pytest.mark.parametrize("case", CASES, ids=lambda c: c["name"])
def test_stored_messages(case: dict[str, Any]) -> None:
    files = []
    for store in case["stores"]:
        data = base64.b64decode(store["data"])
        assert storage_rpc.message_hash(store["pubkey"], store["namespace"], data) == store["hash"]
        opened = session_v1.decode_message(ACCOUNTS[store["owner"]], data)
        assert opened.sender_id == store["sender"]
        assert opened.content.hex() == store["content"]
        decoded = next(d for d in case["decoded"][store["owner"]] if d["hash"] == store["hash"])
        assert opened.timestamp_ms == decoded["envelope"]["timestamp"]
        content = contents.parse(opened.content)
        assert content.timestamp_ms in (None, opened.timestamp_ms)
        assert contents.conversation_of(ACCOUNTS[store["owner"]].account_id, opened.sender_id, content.payload) in [
            str(identity.account_id) for identity in ACCOUNTS.values()
        ]
        expected = decoded["content"].get("dataMessage", {})
        if isinstance(content.payload, VisibleMessage):
            assert content.payload.body == expected.get("body", "")
            assert content.payload.sync_target == expected.get("syncTarget")
            assert (content.payload.profile.name if content.payload.profile else None) == expected.get(
                "profile", {}
            ).get("displayName")
            files = list(content.payload.attachments)
            assert [file.file_name for file in files] == [a.get("fileName") for a in expected.get("attachments", [])]
            if "quote" in expected:
                assert content.payload.quote is not None
                assert content.payload.quote.timestamp_ms == expected["quote"]["id"]
    for pointer, upload, plaintext in zip(files, case.get("uploads", []), case.get("plaintext", []), strict=True):
        assert parse_download_url(pointer.url).file_id == str(upload["id"])
        file = base64.b64decode(upload["file"])
        key = AttachmentKey(pointer.key, pointer.digest, pointer.size)
        assert key.verify([file]) == pointer.size
        assert b"".join(key.plaintext([file])) == base64.b64decode(plaintext)
