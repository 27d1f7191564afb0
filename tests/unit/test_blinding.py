"""Blinded keys, ids, signatures and direct messages: the official library's values, published ones, properties."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nacl import bindings as sodium

from session_cli.errors import DecryptionFailed, InvalidInput, SessionError, UnsupportedVersion
from session_cli.protocol.account import AccountId, Identity, ed25519_from_x25519, key_of, verify_signature
from session_cli.protocol.blinding import (
    BlindedId,
    BlindedKeys,
    Platform,
    blind15,
    blind25,
    blinded15_ids,
    blinded25_id,
    decrypt,
    encrypt,
    factor15,
    factor25,
    matches,
    parse_blinded_id,
    version_keys,
)
from tests.support.vectors import cases

KINDS = {15: blind15, 25: blind25}

SERVER = bytes.fromhex("c3b3c6f32f0ab5a57f853cc4f30f5da7fda5624b0c77b3fb0829de562ada081d")
A = Identity.from_seed(bytes.fromhex("c010d89eccbaf5d1c6d19df766c6eedf965d4a28a56f87c9fc819edb59896dd9"))
B = Identity.from_seed(bytes.fromhex("8659efdcbe0949e0f81141e6d397e8be75f45d09262f209d5950e97989eb43c7"))

# The test account and server key of the official library's own tests.
LIBRARY_SERVER = bytes.fromhex("abcdef0123456789" * 4)
LIBRARY_ACCOUNT = Identity.from_seed(bytes.fromhex("fecd9a6034bc9aba273925dee7062b123334587c3c6257341afae2d7fe85e122"))

identities = st.binary(min_size=16, max_size=16).map(Identity.from_seed)
server_keys = st.binary(min_size=32, max_size=32)
kinds = st.sampled_from([15, 25])


def keys_of(vector: dict[str, Any]) -> BlindedKeys:
    identity = Identity.from_seed(bytes.fromhex(vector["account"]["seed"]))
    assert identity.account_id == vector["account"]["account_id"]
    blind = blind15 if vector["kind"].startswith("blind15") else blind25
    return blind(identity, bytes.fromhex(vector["server_pk"]))


class TestKeys:
    @pytest.mark.parametrize("vector", cases("blinding", "blind15_key_pair"))
    def test_15(self, vector: dict[str, Any]) -> None:
        server = bytes.fromhex(vector["server_pk"])
        keys = keys_of(vector)
        assert factor15(server).hex() == vector["factor_k"]
        assert keys.public.hex() == vector["blinded_pk"]
        assert keys.scalar.hex() == vector["blinded_sk_scalar"]
        assert keys.blinded_id == vector["blinded_id"]
        assert parse_blinded_id(keys.blinded_id.upper()) == vector["blinded_id"]
        assert list(blinded15_ids(vector["account"]["account_id"], server)) == vector["ids_from_account_id"]

    @pytest.mark.parametrize("vector", cases("blinding", "blind25_key_pair"))
    def test_25(self, vector: dict[str, Any]) -> None:
        server = bytes.fromhex(vector["server_pk"])
        keys = keys_of(vector)
        factor = factor25(vector["account"]["account_id"], server)
        assert factor.hex() == vector["factor_k"]
        if bytes.fromhex(vector["account"]["ed25519_pk"])[31] & 0x80:
            factor = sodium.crypto_core_ed25519_scalar_negate(factor)
        assert factor.hex() == vector["factor_k_signed"]
        assert keys.public.hex() == vector["blinded_pk"]
        assert keys.scalar.hex() == vector["blinded_sk_scalar"]
        assert keys.blinded_id == vector["blinded_id"]
        assert blinded25_id(vector["account"]["account_id"], server) == vector["blinded_id"]

    @pytest.mark.parametrize("vector", cases("blinding", "blind15_sign", "blind25_sign"))
    def test_signatures(self, vector: dict[str, Any]) -> None:
        keys, message = keys_of(vector), bytes.fromhex(vector["message"])
        assert keys.public.hex() == vector["blinded_pk"]
        assert keys.sign(message).hex() == vector["signature"]
        verify_signature(keys.public, message, keys.sign(message))

    @pytest.mark.parametrize(
        ("kind", "blinded_id", "signature"),
        [
            (
                15,
                "15b74ed205f1f931e1bb1291183778a9456b835937d923b0f2e248aa3a44c07844",
                "1a5ade20b43af0e16b3e591d6f86303938d7557c0ac54469dd4f5aea759f82d2"
                "2cafa42587251756e133acdddd8cbec2f707a9ce09a49f2193f46a91502c5006",
            ),
            (
                25,
                "253b991dcbba44cfdb45d5b38880d95cff723309e3ece6fd01415ad5fa1dccc7ac",
                "e6c57de4ac0cd278abbeef815bd88b163a037085deae789ecaaf4805884c4c3d"
                "3db25f3afa856241366cb341a3a4c9bbaa2cda81d028079c956fab16a7fe6206",
            ),
        ],
    )
    def test_published_ids_and_signatures(self, kind: int, blinded_id: str, signature: str) -> None:
        keys = KINDS[kind](LIBRARY_ACCOUNT, LIBRARY_SERVER)
        assert (keys.blinded_id, keys.sign(b"hello").hex()) == (blinded_id, signature)

    def test_ids_published_with_the_server(self) -> None:
        server = bytes.fromhex("6a32c7b491f4199dd1260a4cc60ae51c6bd71dad939cc521e738409f53f943be")
        identity = Identity.from_seed(bytes.fromhex("880adf5164a79bce71f7387fbc2cb2693c0bf0ab4cb42bf1edafddade7527a66"))
        assert blind15(identity, server).blinded_id == (
            "15cef185d46b60a548641bd8c5baa4b7cf90b7da8e883c0ac774c703d249086479"
        )
        assert blind25(identity, server).blinded_id == (
            "25dd332c1de0038e5b5b6d2d037569c343d1e18500a94716f108f1918c0879ce3b"
        )

    @pytest.mark.parametrize("vector", cases("blinding", "matches"))
    def test_matching(self, vector: dict[str, Any]) -> None:
        found = matches(vector["account_id"], vector["blinded_id"], bytes.fromhex(vector["server_pk"]))
        assert found is vector["matches"]

    @given(identities, server_keys, kinds, st.binary(max_size=200))
    def test_every_account_is_found_by_its_id_and_signs_verifiably(
        self, identity: Identity, server: bytes, kind: int, message: bytes
    ) -> None:
        keys = KINDS[kind](identity, server)
        assert keys.blinded_id.startswith(str(kind))
        assert parse_blinded_id(keys.blinded_id) == keys.blinded_id
        assert matches(identity.account_id, keys.blinded_id, server)
        verify_signature(keys.public, message, keys.sign(message))

    @pytest.mark.parametrize("size", [0, 31, 33])
    def test_server_keys_of_other_sizes_are_refused(self, size: int) -> None:
        for use in (
            lambda key: blind15(A, key),
            lambda key: blind25(A, key),
            lambda key: blinded15_ids(A.account_id, key),
            lambda key: blinded25_id(A.account_id, key),
        ):
            with pytest.raises(InvalidInput):
                use(bytes(size))

    def test_secrets_stay_out_of_repr(self) -> None:
        keys, version = blind25(A, SERVER), version_keys(A)
        shown = repr(keys) + repr(version)
        assert repr(keys.scalar)[2:-1] not in shown
        assert repr(version.secret)[2:-1] not in shown


class TestParsing:
    @pytest.mark.parametrize(
        "text", ["", A.account_id, "15" + "00" * 32, "25" + "ff" * 32, "15" + "ab" * 31, "35" + "ab" * 32, "x"]
    )
    def test_what_is_no_blinded_id_is_refused(self, text: str) -> None:
        with pytest.raises(InvalidInput):
            parse_blinded_id(text)

    @given(st.text() | st.binary(min_size=32, max_size=32).map(lambda key: "15" + key.hex()))
    def test_any_text_is_a_blinded_id_or_refused(self, text: str) -> None:
        try:
            blinded = parse_blinded_id(text)
        except InvalidInput:
            return
        assert sodium.crypto_core_ed25519_is_valid_point(key_of(blinded))


class TestVersionCheck:
    @pytest.mark.parametrize("vector", cases("blinding", "version_sign"))
    def test_vectors(self, vector: dict[str, Any]) -> None:
        keys = version_keys(Identity.from_seed(bytes.fromhex(vector["account"]["seed"])))
        assert keys.public.hex() == vector["version_pk"]
        assert keys.header_key == "07" + vector["version_pk"]
        assert keys.secret.hex() == vector["version_sk"]
        signature = keys.sign_version_check(vector["timestamp"], Platform(vector["platform"]))
        assert signature.hex() == vector["signature"]
        verify_signature(keys.public, vector["signed_data"].encode(), signature)

    @pytest.mark.parametrize("vector", cases("blinding", "version_sign_request"))
    def test_other_requests(self, vector: dict[str, Any]) -> None:
        keys = version_keys(Identity.from_seed(bytes.fromhex(vector["account"]["seed"])))
        body = bytes.fromhex(vector["body"] or "")
        assert keys.public.hex() == vector["version_pk"]
        signature = keys.sign_request(vector["timestamp"], vector["method"], vector["path"], body)
        assert signature.hex() == vector["signature"]

    def test_published_values(self) -> None:
        keys = version_keys(LIBRARY_ACCOUNT)
        assert keys.public.hex() == "88e8adb27e7b8ce776fcc25bc1501fb2888fcac0308e52fb10044f789ae1a8fa"
        assert keys.sign_version_check(1234567890, Platform.DESKTOP).hex() == (
            "143c2c9828f7680ee81e6247bc7aa4777c4991add87cd724149b00452bed4e92"
            "0fa57daf4627c68f43fcbddb2d465d5ea11def523f3befb2bbee39c769676305"
        )


class TestMessages:
    @pytest.mark.parametrize("vector", cases("session_protocol", "blinded"))
    def test_both_sides_read_what_the_official_library_wrote(self, vector: dict[str, Any]) -> None:
        server = bytes.fromhex(vector["server_pk"])
        sender = Identity.from_seed(bytes.fromhex(vector["sender"]["seed"]))
        recipient = Identity.from_seed(bytes.fromhex(vector["recipient"]["seed"]))
        ids = {
            "sender": parse_blinded_id(vector["sender_blinded_id"]),
            "recipient": parse_blinded_id(vector["recipient_blinded_id"]),
        }
        data = bytes.fromhex(vector["ciphertext"])
        nonce = bytes.fromhex(vector["nonce"])
        blind = KINDS[vector["blinding"]]
        assert blind(sender, server).blinded_id == ids["sender"]
        assert blind(recipient, server).blinded_id == ids["recipient"]
        assert encrypt(sender, server, ids["recipient"], bytes.fromhex(vector["message"]), nonce=nonce) == data
        for reader, field in ((recipient, "decrypted_message_as_recipient"), (sender, "decrypted_message_as_sender")):
            message = decrypt(reader, server, data, **ids)
            assert message.plaintext.hex() == vector[field]
            assert message.sender == vector["decrypted_sender_account_id"]
            assert message.sender_ed25519 == sender.ed25519_public

    @pytest.mark.parametrize("vector", cases("session_protocol", "decrypt_blinded"))
    def test_reads_or_refuses_as_the_official_library_does(self, vector: dict[str, Any]) -> None:
        recipient = Identity.from_seed(bytes.fromhex(vector["recipient"]["seed"]))
        server, data = bytes.fromhex(vector["server_pk"]), bytes.fromhex(vector["ciphertext"])
        ids = {"sender": vector["sender_blinded_id"], "recipient": vector["recipient_blinded_id"]}
        if vector["valid"]:
            message = decrypt(recipient, server, data, **ids)
            assert message.plaintext.hex() == vector["decrypted_message"]
            assert message.sender == vector["decrypted_sender_account_id"]
            return
        expected: type[SessionError] = DecryptionFailed
        if "version byte" in vector["description"]:
            expected = UnsupportedVersion
        elif "15-blinded sender id with a 25-blinded" in vector["description"]:
            expected = InvalidInput
        with pytest.raises(expected):
            decrypt(recipient, server, data, **ids)

    @pytest.mark.parametrize(
        ("kind", "expected"),
        [
            (
                15,
                "00c48dca64f9ccf8c4a9166eaf3ec3843305ad2287d556ae39ad2e54f23dd7246dd29bd50aa84fdd8dc2c2611a0a6349be49508b"
                "648d000102030405060708090a0b0c0d0e0f1011121314151617",
            ),
            (
                25,
                "00bea195fd36ffd21e38b02100a1ac3c7d5925be19686534b1cbe9e4480187fad8b43973c115c4fd8db02b9014f09f6bec908ef6"
                "09a3000102030405060708090a0b0c0d0e0f1011121314151617",
            ),
        ],
    )
    def test_between_two_accounts_with_negative_keys(self, kind: int, expected: str) -> None:
        recipient = KINDS[kind](B, SERVER).blinded_id
        assert encrypt(A, SERVER, recipient, b"hello", nonce=bytes(range(24))).hex() == expected

    @settings(max_examples=50)
    @given(identities, identities, server_keys, kinds, st.binary(max_size=300))
    def test_round_trip(self, alice: Identity, bob: Identity, server: bytes, kind: int, text: bytes) -> None:
        sender, recipient = (KINDS[kind](who, server).blinded_id for who in (alice, bob))
        data = encrypt(alice, server, recipient, text)
        assert len(data) == len(text) + 73
        for reader in (alice, bob):
            message = decrypt(reader, server, data, sender=sender, recipient=recipient)
            assert (message.plaintext, message.sender) == (text, alice.account_id)

    @settings(max_examples=50)
    @given(st.data(), kinds)
    def test_no_bit_can_change(self, data: st.DataObject, kind: int) -> None:
        sender, recipient = (KINDS[kind](who, SERVER).blinded_id for who in (A, B))
        sealed = bytearray(encrypt(A, SERVER, recipient, b"hello"))
        bit = data.draw(st.integers(0, len(sealed) * 8 - 1))
        sealed[bit // 8] ^= 1 << bit % 8
        with pytest.raises((DecryptionFailed, UnsupportedVersion)):
            decrypt(B, SERVER, bytes(sealed), sender=sender, recipient=recipient)

    @given(st.binary(max_size=120))
    def test_any_bytes_are_refused(self, data: bytes) -> None:
        sender, recipient = (blind15(who, SERVER).blinded_id for who in (A, B))
        with pytest.raises((DecryptionFailed, UnsupportedVersion)):
            decrypt(B, SERVER, data, sender=sender, recipient=recipient)

    @pytest.mark.parametrize("kind", [15, 25])
    def test_a_sender_cannot_name_somebody_else_inside(self, kind: int) -> None:
        """Mallory holds her own blinded key, and puts A's real key behind her message."""
        mallory = Identity.from_seed(b"mallory's seed!!")
        pretended = Identity(
            account_id=mallory.account_id,
            ed25519_public=A.ed25519_public,
            x25519_public=mallory.x25519_public,
            seed=mallory.seed,
            ed25519_secret=mallory.ed25519_secret,
            x25519_secret=mallory.x25519_secret,
        )
        # 25 takes the sign of its factor from the key shown: Mallory's own id, in whichever sign that gives.
        sender = KINDS[kind](pretended, SERVER).blinded_id
        recipient = KINDS[kind](B, SERVER).blinded_id
        data = encrypt(pretended, SERVER, recipient, b"It's me, A")
        with pytest.raises(DecryptionFailed, match="another account"):
            decrypt(B, SERVER, data, sender=sender, recipient=recipient)

    def test_a_key_inside_that_is_no_point_is_refused(self) -> None:
        nobody = Identity(
            account_id=A.account_id,
            ed25519_public=bytes(31) + b"\x01",
            x25519_public=A.x25519_public,
            seed=A.seed,
            ed25519_secret=A.ed25519_secret,
            x25519_secret=A.x25519_secret,
        )
        sender, recipient = (blind15(who, SERVER).blinded_id for who in (A, B))
        with pytest.raises(DecryptionFailed):
            decrypt(B, SERVER, encrypt(nobody, SERVER, recipient, b""), sender=sender, recipient=recipient)

    def test_a_third_account_reads_nothing(self) -> None:
        sender, recipient = (blind15(who, SERVER).blinded_id for who in (A, B))
        data = encrypt(A, SERVER, recipient, b"hello")
        with pytest.raises(DecryptionFailed):
            decrypt(LIBRARY_ACCOUNT, SERVER, data, sender=sender, recipient=recipient)

    def test_recipients_that_are_no_points_are_refused(self) -> None:
        with pytest.raises(InvalidInput):
            encrypt(A, SERVER, BlindedId("15" + "00" * 32), b"hello")

    def test_nonces_of_other_sizes_are_refused(self) -> None:
        with pytest.raises(InvalidInput):
            encrypt(A, SERVER, blind15(B, SERVER).blinded_id, b"hello", nonce=bytes(12))


def test_a_15_id_hides_nobody_from_who_knows_the_server_key() -> None:
    """The sign apart, it is a fixed multiple of the account's key: worth a test because users believe otherwise."""
    inverse = sodium.crypto_core_ed25519_scalar_invert(factor15(SERVER))
    point = sodium.crypto_scalarmult_ed25519_noclamp(inverse, blind15(A, SERVER).public)
    assert point[:31] == ed25519_from_x25519(key_of(AccountId(A.account_id)))[:31]


def test_request_signature_of_a_community_server() -> None:
    """A request for a room's messages, signed over server key, nonce, time, method and path."""
    nonce = bytes.fromhex("09d0799f2295990182c3ab3406fbfc5b")
    signed = SERVER + nonce + b"1642472103" + b"GET" + b"/room/the-best-room/messages/recent?limit=25"
    assert base64.b64encode(blind15(A, SERVER).sign(signed)).decode() == (
        "kXxMbg6+492jeI+D61s9636ixYctn/qnhknhUhQTt54UR3eP9vslcc3iESdBCyikpqYyyfEOp0z+hjuvXGWyCQ=="
    )
    assert base64.b64encode(blind25(A, SERVER).sign(signed)).decode() == (
        "mEUs8D+HYfGtoARcIqKRpy5TxEyGoH8fYvbIpuianwJ+iUaAzLcGcALdZOOIHIo7cvEddFRslrVtMUZkk5jRBA=="
    )
