"""Session names: how they are written, hashed and decrypted."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nacl import bindings as sodium

from session_cli.errors import DecryptionFailed, InvalidInput, MalformedMessage
from session_cli.protocol.ons import OnsName, OnsRecord, decrypt, lookup_params, name_hash, parse_name
from tests.support.vectors import cases


def sealed(name: OnsName, value: bytes) -> OnsRecord:
    key = hashlib.blake2b(name.encode(), digest_size=32, key=name_hash(name)).digest()
    nonce = bytes(24)
    return OnsRecord(sodium.crypto_aead_xchacha20poly1305_ietf_encrypt(value, None, nonce, key), nonce)


@pytest.mark.parametrize("vector", cases("session_protocol", "ons"))
def test_vectors(vector: dict[str, Any]) -> None:
    name = parse_name(vector["name"].upper())
    assert name == vector["name"]
    assert base64.b64encode(name_hash(name)).decode() == vector["name_hash_base64"]
    assert lookup_params(name) == {
        "endpoint": "ons_resolve",
        "params": {"type": 0, "name_hash": vector["name_hash_base64"]},
    }
    record = OnsRecord.from_result({"encrypted_value": vector["encrypted_value"], "nonce": vector["nonce"]})
    assert record is not None
    if vector["valid"]:
        assert decrypt(name, record) == vector["account_id"]
    else:
        with pytest.raises(DecryptionFailed):
            decrypt(name, record)


@pytest.mark.parametrize(
    ("name", "value", "nonce", "account_id"),
    [
        (
            "jagerman",
            "d9bca6752665f2254ec7522f98aa5f2dfb13c9fa1ad1e39cd3d7a89a0df04719e348da537bc310a53e3b59ca24639b9b42",
            "73e8243f3fadd471be36c6df3d62f863f9bb3a9d1cc696c0",
            "05fb466d312e1666ad1c84c4ee55b7e034151c0e366a313d95d11436a5f36e1e75",
        ),
        (
            "test",
            "3575802dd9bfea72672a208840f37ca289ceade5d3ffacabe2d231f109d204329fc33e28c331580d9a8c9b8a64cacfec97",
            "00112233445566778899aabbccddeeff00ffeeddccbbaa99",
            "05d2ad010eeb72d72e561d9de7bd7b6989af77dcabffa03a5111a6c859ae5c3a72",
        ),
        (
            "test",
            "dbd4bc89bd2c9e5322fd9f4cadcaa66a0c38f15d0c927a86cc36e895fe1f3c532a3958d972563f52ca858e94eec22dc360",
            "",
            "05d2ad010eeb72d72e561d9de7bd7b6989af77dcabffa03a5111a6c859ae5c3a72",
        ),
    ],
)
def test_published_records(name: str, value: str, nonce: str, account_id: str) -> None:
    record = OnsRecord.from_result({"encrypted_value": value, "nonce": nonce})
    assert record is not None
    assert decrypt(parse_name(name), record) == account_id


def test_an_old_record_of_another_name_is_refused() -> None:
    vector = next(case.values[0] for case in cases("session_protocol", "ons") if case.values[0]["nonce"] is None)
    record = OnsRecord(bytes.fromhex(vector["encrypted_value"]), None)
    with pytest.raises(DecryptionFailed):
        decrypt(parse_name("somebody"), record)


class TestNames:
    @pytest.mark.parametrize(
        ("text", "name"),
        [
            ("Alice", "alice"),
            ("  alice\n", "alice"),
            ("a", "a"),
            ("_", "_"),
            ("a-b_c9", "a-b_c9"),
            ("x" * 64, "x" * 64),
            ("bücher", "xn--bcher-kva"),
            ("bu\u0308cher", "xn--bcher-kva"),
            ("BÜCHER", "xn--bcher-kva"),
        ],
    )
    def test_valid(self, text: str, name: str) -> None:
        assert parse_name(text) == name

    @pytest.mark.parametrize(
        "text", ["", " ", "-a", "a-", "-", "a b", "a.b", "a\nb", "alice@", "x" * 65, "ü" * 64, "ü b", "\ud800"]
    )
    def test_invalid(self, text: str) -> None:
        with pytest.raises(InvalidInput):
            parse_name(text)

    @given(st.text())
    def test_any_text_is_a_name_or_refused(self, text: str) -> None:
        try:
            name = parse_name(text)
        except InvalidInput:
            return
        assert parse_name(name) == name
        assert len(name_hash(name)) == 32


class TestRecords:
    @pytest.mark.parametrize("result", [{}, {"encrypted_value": ""}, {"encrypted_value": None}, {"nonce": "00"}])
    def test_a_name_that_is_not_registered(self, result: dict[str, Any]) -> None:
        assert OnsRecord.from_result(result) is None

    @pytest.mark.parametrize("result", [{"encrypted_value": "xyz"}, {"encrypted_value": 5}, {"encrypted_value": ["a"]}])
    def test_answers_of_another_shape_are_refused(self, result: dict[str, Any]) -> None:
        with pytest.raises(MalformedMessage):
            OnsRecord.from_result(result)

    @pytest.mark.parametrize(
        "record",
        [
            OnsRecord(b"", None),
            OnsRecord(bytes(48), None),
            OnsRecord(bytes(50), bytes(24)),
            OnsRecord(bytes(49), b""),
            OnsRecord(bytes(49), bytes(23)),
        ],
    )
    def test_records_of_other_sizes_are_refused(self, record: OnsRecord) -> None:
        with pytest.raises(MalformedMessage):
            decrypt(parse_name("alice"), record)

    @pytest.mark.parametrize("value", [b"\x03" + b"\x09" * 32, b"\x05" + bytes(32)])
    def test_values_that_are_no_account_id_are_refused(self, value: bytes) -> None:
        name = parse_name("alice")
        with pytest.raises(MalformedMessage, match="no account id"):
            decrypt(name, sealed(name, value))
