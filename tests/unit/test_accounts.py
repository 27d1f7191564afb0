"""From seed to keys and id, and which texts are account ids."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from session_cli.errors import BadSignature, InvalidAccountId, InvalidInput, SessionError
from session_cli.protocol.account import (
    AccountId,
    Identity,
    account_id_of,
    ed25519_from_x25519,
    key_of,
    parse_account_id,
    verify_signature,
    x25519_from_ed25519,
)
from session_cli.protocol.phrase import decode, encode_session
from tests.support.vectors import cases

ALICE = "054830367d369d94605247999a375dbd0a0f65fdec5de1535612bcb6d4de452c69"

# seed, phrase, Ed25519 public key, account id
PUBLISHED = [
    (
        "39038c8988db02c1af44e8c847bd9713",
        "puffin luxury annoyed rustled memoir faxed smidgen puddle kiwi nylon utopia zinger kiwi",
        "f661a69453ef81a3b75bfcf954eb1f439d4d74edcab0e72a5c435ee418a907be",
        ALICE,
    ),
    (
        "000102030405060708090a0b0c0d0e0f",
        "amaze buffet cake entrance symptoms tiger lamb maze nestle python dusted faxed faxed",
        "65adc5bfb14b5363f1b50e63a431f6fe08ff5d4e8d362c1e3d4c56c9d044bfb0",
        "05ca03b8e369aeeb69fd260c2957d37b232db17a60db7a39bca9f0c0a6be135c1a",
    ),
    (
        "00000000000000000000000000000000",
        " ".join(["abbey"] * 13),
        "3b6a27bcceb6a42d62a3a8d02a6f0d73653215771de243a63ac048a18b59da29",
        "055bf55c73b82ebe22be80f3430667af570fae2556a6415e6b30d4065300aa947d",
    ),
    (
        "0123456789abcdef0123456789abcdef",
        "vexed enjoy pigment films adept voted vexed enjoy pigment films adept voted adept",
        "4cb76fdc6d32278e3f83dbf608360ecc6b65727934b85d2fb86862ff98c46ab7",
        "05d2ad010eeb72d72e561d9de7bd7b6989af77dcabffa03a5111a6c859ae5c3a72",
    ),
    (
        "00112233445566778899aabbccddeeff",
        "python costume hamburger heels amnesty lukewarm antics value picked roped sowed southern amnesty",
        "5ea34e72bb044654a6a23675690ef5ffaaf1656b02f93fb76655f9cbdbe89876",
        "05aa654f00fc39fc69fd0db829410ca38177d7732a8d2f0934ab3872ac56d5aa74",
    ),
]


class TestDerivation:
    @pytest.mark.parametrize("vector", cases("accounts", "derive"))
    def test_vectors(self, vector: dict[str, Any]) -> None:
        identity = Identity.from_seed(bytes.fromhex(vector["seed16"]))
        assert identity.seed.hex() == vector["ed25519_seed"]
        assert identity.ed25519_public.hex() == vector["ed25519_pk"]
        assert identity.ed25519_secret.hex() == vector["ed25519_sk"]
        assert identity.x25519_public.hex() == vector["x25519_pk"]
        assert identity.x25519_secret.hex() == vector["x25519_sk"]
        assert identity.account_id == vector["account_id"]
        assert account_id_of(identity.ed25519_public) == vector["account_id"]
        assert parse_account_id(vector["account_id"]) == vector["account_id"]

    @pytest.mark.parametrize("vector", [v for v in cases("accounts", "mnemonic_decode") if v.values[0]["valid"]])
    def test_phrases_lead_to_the_seed(self, vector: dict[str, Any]) -> None:
        assert Identity.from_seed(decode(vector["phrase"]).seed).short_seed.hex() == vector["seed16"]

    @pytest.mark.parametrize("vector", [v for v in cases("accounts", "mnemonic_decode") if not v.values[0]["valid"]])
    def test_invalid_phrases_lead_nowhere(self, vector: dict[str, Any]) -> None:
        with pytest.raises(SessionError):
            Identity.from_seed(decode(vector["phrase"]).seed)

    @pytest.mark.parametrize(("seed", "phrase", "ed25519", "account_id"), PUBLISHED)
    def test_published_values(self, seed: str, phrase: str, ed25519: str, account_id: str) -> None:
        identity = Identity.from_seed(bytes.fromhex(seed))
        assert (identity.ed25519_public.hex(), identity.account_id) == (ed25519, account_id)
        assert encode_session(identity.short_seed) == phrase

    @pytest.mark.parametrize("vector", cases("xed25519", "convert"))
    def test_conversions(self, vector: dict[str, Any]) -> None:
        identity = Identity.from_seed(bytes.fromhex(vector["ed25519_seed"]))
        public = bytes.fromhex(vector["ed25519_pk"])
        assert identity.ed25519_secret.hex() == vector["ed25519_sk"]
        assert identity.x25519_secret.hex() == vector["x25519_sk"]
        assert x25519_from_ed25519(public).hex() == vector["x25519_pk"]
        assert ed25519_from_x25519(bytes.fromhex(vector["x25519_pk"])).hex() == vector["ed25519_pk_positive"]
        assert public[31] >> 7 == vector["ed25519_pk_sign_bit"]

    @pytest.mark.parametrize("vector", cases("xed25519", "ed25519_sign"))
    def test_signatures(self, vector: dict[str, Any]) -> None:
        identity = Identity.from_seed(bytes.fromhex(vector["ed25519_seed"]))
        message = bytes.fromhex(vector["message"])
        signature = identity.sign(message)
        assert signature.hex() == vector["signature"]
        verify_signature(bytes.fromhex(vector["ed25519_pk"]), message, signature)
        with pytest.raises(BadSignature):
            verify_signature(identity.ed25519_public, message + b"!", signature)

    def test_a_long_seed_is_used_whole(self) -> None:
        long = Identity.from_seed(bytes(range(32)))
        assert long.short_seed == bytes(range(32))
        assert long.account_id != Identity.from_seed(bytes(range(16))).account_id

    @pytest.mark.parametrize("size", [0, 15, 17, 31, 33, 64])
    def test_seeds_of_other_sizes_are_refused(self, size: int) -> None:
        with pytest.raises(InvalidInput):
            Identity.from_seed(bytes(size))

    def test_secrets_stay_out_of_repr(self) -> None:
        identity = Identity.generate()
        for secret in (identity.seed, identity.short_seed, identity.ed25519_secret, identity.x25519_secret):
            assert repr(secret)[2:-1] not in repr(identity)
            assert secret.hex() not in repr(identity)

    @given(st.binary(min_size=16, max_size=16) | st.binary(min_size=32, max_size=32))
    def test_the_id_names_the_ed25519_key_up_to_its_sign(self, seed: bytes) -> None:
        identity = Identity.from_seed(seed)
        positive = ed25519_from_x25519(key_of(identity.account_id))
        assert positive[:31] == identity.ed25519_public[:31]
        assert positive[31] == identity.ed25519_public[31] & 0x7F
        assert x25519_from_ed25519(positive) == identity.x25519_public


class TestParsing:
    @pytest.mark.parametrize("text", [ALICE, ALICE.upper(), f"  {ALICE}\n"])
    def test_case_and_surrounding_space_do_not_matter(self, text: str) -> None:
        assert parse_account_id(text) == ALICE

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("", "66 hex digits"),
            ("bob", "66 hex digits"),
            (ALICE[:-1], "has 65"),
            (ALICE + "0", "has 67"),
            (ALICE[:-1] + "g", "66 hex digits beginning with 05"),
            (ALICE[:33] + " " + ALICE[33:], "66 hex digits beginning with 05"),
            ("0x" + ALICE, "66 hex digits beginning with 05"),
            ("٠٥" + ALICE[2:], "66 hex digits beginning with 05"),
            ("03" + ALICE[2:], "a group's id"),
            ("15" + ALICE[2:], "a blinded id"),
            ("25" + ALICE[2:], "a blinded id"),
            ("00" + ALICE[2:], "unknown prefix 00"),
            ("ff" + ALICE[2:], "unknown prefix ff"),
            ("05" + "00" * 32, "not a point of the curve"),
            ("05" + "01" + "00" * 31, "not a point of the curve"),
            ("05" + "ff" * 32, "not a point of the curve"),
            ("05" + (2**255 - 20).to_bytes(32, "little").hex(), "not a point of the curve"),
            ("05" + (2**255 - 19).to_bytes(32, "little").hex(), "not a point of the curve"),
        ],
    )
    def test_what_is_no_account_id_is_refused_and_told_why(self, text: str, said: str) -> None:
        with pytest.raises(InvalidAccountId, match=said):
            parse_account_id(text)

    @given(st.text() | st.binary(min_size=32, max_size=32).map(lambda key: "05" + key.hex()))
    def test_any_text_is_an_id_or_refused(self, text: str) -> None:
        try:
            account_id: AccountId = parse_account_id(text)
        except InvalidAccountId:
            return
        assert parse_account_id(account_id) == account_id

    @given(st.binary(max_size=40))
    def test_any_bytes_convert_or_are_refused(self, key: bytes) -> None:
        for convert in (account_id_of, x25519_from_ed25519, ed25519_from_x25519):
            try:
                convert(key)
            except InvalidInput:
                continue

    @given(st.binary(max_size=40), st.binary(max_size=70))
    def test_no_chance_signature_verifies(self, key: bytes, signature: bytes) -> None:
        with pytest.raises(BadSignature):
            verify_signature(key, b"message", signature)
