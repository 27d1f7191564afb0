"""Recovery phrases: the vectors, the published values, and what is refused with which words."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mnemonic import Mnemonic

from session_cli.errors import InvalidInput, InvalidPhrase
from session_cli.protocol.phrase import (
    ChecksumWordMissing,
    PhraseForm,
    decode,
    decode_hex_seed,
    encode_bip39,
    encode_session,
)
from session_cli.protocol.words import PREFIX_LETTERS, WORDS
from tests.support.vectors import cases

BIP39 = Mnemonic("english").wordlist
SEED = bytes.fromhex("39038c8988db02c1af44e8c847bd9713")
SESSION13 = "puffin luxury annoyed rustled memoir faxed smidgen puddle kiwi nylon utopia zinger kiwi"
BIP39_12 = "decorate broccoli carbon balance rabbit general rug other sign digital grape chaos"
LONG_SEED = bytes(range(32))
SESSION25 = (
    "amaze buffet cake entrance symptoms tiger lamb maze nestle python dusted faxed update vague zinger "
    "boxes ornament renting glass gained island nabbing afield calamity boxes"
)

seeds = st.binary(min_size=16, max_size=16) | st.binary(min_size=32, max_size=32)


class TestWords:
    def test_the_list_is_the_one_of_the_official_apps(self) -> None:
        digest = hashlib.sha256(" ".join(WORDS).encode()).hexdigest()
        assert digest == "3c381ebb6defd69ab7c1998641c8a047a1488fcebc393c5ef44828ca9128003b"
        assert (len(WORDS), WORDS[0], WORDS[-1]) == (1626, "abbey", "zoom")

    def test_three_letters_tell_every_word_from_all_others(self) -> None:
        assert len({word[:PREFIX_LETTERS] for word in WORDS}) == len(WORDS)


class TestSessionForm:
    @pytest.mark.parametrize("vector", cases("accounts", "derive"))
    def test_encodes_and_decodes(self, vector: dict[str, Any]) -> None:
        seed = bytes.fromhex(vector["seed16"])
        assert encode_session(seed) == vector["mnemonic"]
        decoded = decode(vector["mnemonic"])
        assert (decoded.seed, decoded.form, decoded.completed) == (seed, PhraseForm.SESSION13, ())

    @pytest.mark.parametrize("vector", cases("accounts", "mnemonic_decode"))
    def test_decodes_or_refuses_as_the_vectors_do(self, vector: dict[str, Any]) -> None:
        if vector["valid"]:
            assert decode(vector["phrase"]).seed == bytes.fromhex(vector["seed16"])
            return
        with pytest.raises(InvalidPhrase) as caught:
            decode(vector["phrase"])
        said = {
            "checksum": "checksum",
            "unknown_word": "is not in Session's word list",
            "checksum_or_unknown_word": "is not in Session's word list",
            "too_few_words": "words",
            "too_many_words": "13 words",
        }
        assert said[vector["error"]] in str(caught.value)

    def test_the_long_form_carries_32_bytes(self) -> None:
        assert encode_session(LONG_SEED) == SESSION25
        decoded = decode(SESSION25)
        assert (decoded.seed, decoded.form) == (LONG_SEED, PhraseForm.SESSION25)

    def test_words_cut_short_are_named_with_the_listed_word(self) -> None:
        phrase = SESSION13.replace("luxury", "lux").replace("annoyed", "annxyz")
        decoded = decode(phrase)
        assert decoded.seed == SEED
        assert decoded.completed == ((2, "luxury"), (3, "annoyed"))

    def test_groups_of_words_beyond_four_bytes_are_refused(self) -> None:
        """Decoders that wrap around take this phrase for a seed that encodes to another one."""
        words = ["abbey", "abbey", "zoom"] + ["abbey"] * 9
        phrase = " ".join([*words, checksum_word(words)])
        with pytest.raises(InvalidPhrase, match="Words 1 to 3"):
            decode(phrase)

    def test_two_words_swapped_are_noticed(self) -> None:
        words = SESSION13.split()
        words[0], words[1] = words[1], words[0]
        with pytest.raises(InvalidPhrase, match="checksum of this 13-word phrase"):
            decode(" ".join(words))

    def test_a_misspelt_word_is_named_with_its_place_and_neighbour(self) -> None:
        with pytest.raises(InvalidPhrase, match=r"Word 4, “rjstled”, .* Session's word list; .* “rustled”"):
            decode(SESSION13.replace("rustled", "rjstled"))

    @pytest.mark.parametrize(("phrase", "position"), [(SESSION13, 13), (SESSION25, 25)])
    def test_a_missing_checksum_word_is_said_to_be_missing(self, phrase: str, position: int) -> None:
        with pytest.raises(ChecksumWordMissing, match=f"{position}th word") as caught:
            decode(phrase.rsplit(" ", 1)[0])
        assert caught.value.position == position

    def test_so_it_is_when_all_words_are_cut_short(self) -> None:
        with pytest.raises(ChecksumWordMissing):
            decode(" ".join(word[:3] for word in SESSION13.split()[:12]))

    def test_twelve_words_of_both_lists_that_fail_as_bip39_lack_the_thirteenth(self) -> None:
        common = [word for word in WORDS if word in set(BIP39)]
        phrase = next(
            candidate
            for start in range(64)
            if not Mnemonic("english").check(candidate := " ".join(common[start : start + 12]))
        )
        with pytest.raises(ChecksumWordMissing):
            decode(phrase)

    def test_a_typo_in_twelve_words_of_session_is_blamed_on_sessions_list(self) -> None:
        with pytest.raises(InvalidPhrase, match=r"Word 2, “lxury”, is not in Session's word list"):
            decode(" ".join(SESSION13.replace("luxury", "lxury").split()[:12]))


class TestBip39Form:
    def test_known_values(self) -> None:
        assert encode_bip39(SEED) == BIP39_12
        decoded = decode(BIP39_12)
        assert (decoded.seed, decoded.form, decoded.completed) == (SEED, PhraseForm.BIP39_12, ())
        published = "abandon " * 23 + "art"
        assert encode_bip39(bytes(32)) == published
        assert (decode(published).seed, decode(published).form) == (bytes(32), PhraseForm.BIP39_24)

    def test_a_misspelt_word_is_blamed_on_the_bip39_list(self) -> None:
        with pytest.raises(InvalidPhrase, match=r"Word 2, “brocoli”, .* BIP39 word list; .* “broccoli”"):
            decode(BIP39_12.replace("broccoli", "brocoli"))

    def test_a_wrong_checksum_is_called_that(self) -> None:
        with pytest.raises(InvalidPhrase, match="checksum of this 12-word BIP39 phrase"):
            decode(BIP39_12.replace("decorate broccoli", "broccoli decorate"))

    def test_words_are_not_completed(self) -> None:
        with pytest.raises(InvalidPhrase, match="“deco”"):
            decode(BIP39_12.replace("decorate", "deco"))

    @pytest.mark.parametrize("size", [20, 24, 28])
    def test_other_lengths_are_phrases_of_something_else(self, size: int) -> None:
        with pytest.raises(InvalidPhrase, match="phrase of something else"):
            decode(Mnemonic("english").to_mnemonic(bytes(size)))


class TestWriting:
    @pytest.mark.parametrize(
        "spelling",
        [
            SESSION13.upper(),
            SESSION13.title(),
            f"\n\t {SESSION13.replace(' ', '  ')}\r\n",
            SESSION13.replace(" ", "\n"),
            SESSION13.replace(" ", ", ") + ".",
            SESSION13.replace(" ", "\u00a0"),
            SESSION13.replace(" ", "-"),
            " ".join(f"{number}. {word}" for number, word in enumerate(SESSION13.split(), start=1)),
            "".join(chr(ord(character) + 0xFEE0) if character != " " else "\u3000" for character in SESSION13),
            SESSION13.replace("faxed", "fáxed"),
            f"\ufeff{SESSION13}",
        ],
    )
    def test_what_stands_around_the_words_does_not_matter(self, spelling: str) -> None:
        decoded = decode(spelling)
        assert (decoded.seed, decoded.completed) == (SEED, ())

    @pytest.mark.parametrize("count", [0, 1, 11, 14, 16, 23, 26])
    def test_other_counts_say_how_many_words_there_should_be(self, count: int) -> None:
        with pytest.raises(InvalidPhrase, match=r"13 words \(or 25\), in the BIP39 form 12 \(or 24\)"):
            decode(" ".join(["abbey"] * count))

    def test_ids_and_hex_seeds_are_recognised(self) -> None:
        with pytest.raises(InvalidPhrase, match="account id"):
            decode(" 05" + "ab" * 32)
        with pytest.raises(InvalidPhrase, match="id of a group"):
            decode("03" + "ab" * 32)
        with pytest.raises(InvalidPhrase, match="32 hex digits"):
            decode(SEED.hex())

    def test_a_glued_word_is_not_quoted(self) -> None:
        with pytest.raises(InvalidPhrase, match="is a space missing") as caught:
            decode(SESSION13.replace("puffin luxury", "xpuffinluxury") + " kiwi")
        assert "puffin" not in str(caught.value)


class TestHexSeed:
    def test_32_digits(self) -> None:
        assert decode_hex_seed(f" {SEED.hex().upper()}\n") == SEED

    @pytest.mark.parametrize("text", ["", "05" + "ab" * 32, "ab" * 32, "ab" * 15, "zz" * 16, SESSION13, "٣" * 32])
    def test_anything_else_is_refused(self, text: str) -> None:
        with pytest.raises(InvalidPhrase):
            decode_hex_seed(text)


class TestProperties:
    @given(seeds)
    def test_every_seed_survives_both_forms(self, seed: bytes) -> None:
        assert decode(encode_session(seed)).seed == seed
        assert decode(encode_bip39(seed)).seed == seed

    @given(seeds)
    def test_three_letters_a_word_are_enough(self, seed: bytes) -> None:
        assert decode(" ".join(word[:3] for word in encode_session(seed).split())).seed == seed

    @given(st.lists(st.sampled_from(WORDS), min_size=12, max_size=12))
    def test_what_decodes_encodes_to_itself(self, words: list[str]) -> None:
        phrase = " ".join([*words, checksum_word(words)])
        try:
            seed = decode(phrase).seed
        except InvalidPhrase:
            return
        assert encode_session(seed) == phrase

    @given(
        st.text()
        | st.lists(st.sampled_from(WORDS) | st.sampled_from(BIP39) | st.text(max_size=5), max_size=26).map(" ".join)
    )
    def test_any_text_decodes_or_is_an_invalid_phrase(self, text: str) -> None:
        try:
            decoded = decode(text)
        except InvalidPhrase:
            return
        assert len(decoded.seed) in (16, 32)

    @given(st.text())
    def test_any_text_is_a_hex_seed_or_an_invalid_phrase(self, text: str) -> None:
        try:
            assert len(decode_hex_seed(text)) == 16
        except InvalidPhrase:
            return

    @given(st.permutations(SESSION13.split()), st.sampled_from(["", "xylophonist", "kiwi", "qq"]))
    def test_errors_name_one_word_at_most(self, words: list[str], extra: str) -> None:
        text = " ".join([*words[1:], extra])
        try:
            decode(text)
        except InvalidPhrase as error:
            # "words" and the like are the error's own; the nearest listed word is no word of this phrase by chance.
            said = set(re.findall(r"[a-z]+", str(error)))
            assert len(said & set(words)) <= 1

    @pytest.mark.parametrize("size", [0, 15, 17, 31, 33, 64])
    def test_seeds_have_16_or_32_bytes(self, size: int) -> None:
        for encode in (encode_session, encode_bip39):
            with pytest.raises(InvalidInput):
                encode(bytes(size))


def test_secrets_stay_out_of_repr() -> None:
    shown = repr(decode(SESSION13.replace("luxury", "lux")))
    assert SEED.hex() not in shown
    assert repr(SEED) not in shown
    assert "luxury" not in shown


def test_the_bip39_list_is_loaded_only_when_needed() -> None:
    program = (
        "import sys; from session_cli.protocol.phrase import decode, encode_session;"
        "decode(encode_session(bytes(16))); print('mnemonic' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def checksum_word(words: list[str]) -> str:
    """The 13th word, worked out from its definition bit by bit: no table, no library."""
    remainder = 0xFFFFFFFF
    for byte in "".join(word[:3] for word in words).encode():
        remainder ^= byte
        for _ in range(8):
            remainder = (remainder >> 1) ^ (0xEDB88320 if remainder & 1 else 0)
    return words[(remainder ^ 0xFFFFFFFF) % len(words)]
