"""Recovery phrases: a seed as words, and back.

Two encodings of the same bytes are spoken. Session's own form has 13 words (16-byte seed, what every official app
shows and takes) or 25 words (32-byte seed), the last of which repeats one of the others as a checksum. BIP39 has
12 or 24 words; it is used as an encoding of the seed alone, so that the key derivation of wallets never comes in.

A Session phrase takes each 4 bytes of the seed as a little-endian number below 2³², and writes that to the base 1626
as three words, the second and third counted from the word before. Its checksum word is the one at the place that
the CRC-32 of the first three letters of all words names, modulo their number.
"""

from __future__ import annotations

import difflib
import enum
import functools
import hmac
import re
import unicodedata
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..errors import InvalidInput, InvalidPhrase
from .words import PREFIX_LETTERS, WORDS

if TYPE_CHECKING:
    from mnemonic import Mnemonic

_BASE = len(WORDS)
_GROUP_LIMIT = 2**32
_LONGEST_QUOTED = 12  # letters of the longest listed word; what is longer may be two words of the phrase in one
_FORMS = "A recovery phrase has 13 words (or 25), in the BIP39 form 12 (or 24)"


class PhraseForm(enum.Enum):
    """The kinds of recovery phrases; the value is a name for people."""

    SESSION13 = "13 words"
    SESSION25 = "25 words"
    BIP39_12 = "12 words (BIP39)"
    BIP39_24 = "24 words (BIP39)"


class ChecksumWordMissing(InvalidPhrase):
    """All words but the last of a Session phrase: the checksum word (13th or 25th, see `position`) is missing."""

    def __init__(self, message: str, *, position: int) -> None:
        super().__init__(message)
        self.position = position


@dataclass(frozen=True, slots=True)
class DecodedPhrase:
    """A phrase that was understood.

    `seed` has 16 or 32 bytes. `completed` names the words that did not stand in the phrase as they stand in the
    list, but share their first three letters with a listed word: position (from 1) and the listed word.
    """

    seed: bytes = field(repr=False)
    form: PhraseForm
    completed: tuple[tuple[int, str], ...] = field(default=(), repr=False)


def encode_session(seed: bytes) -> str:
    """Session's own phrase of a seed: 13 words for 16 bytes, 25 for 32. Raises InvalidInput for other sizes."""
    _require_seed_size(seed)
    indices: list[int] = []
    for start in range(0, len(seed), 4):
        indices += _triple_of(int.from_bytes(seed[start : start + 4], "little"))
    words = [WORDS[index] for index in indices]
    return " ".join([*words, words[_checksum_place(words)]])


def encode_bip39(seed: bytes) -> str:
    """The same seed in the BIP39 form: 12 words for 16 bytes, 24 for 32. Raises InvalidInput for other sizes.

    Other Session apps don't take this form, and wallets make other keys of it.
    """
    _require_seed_size(seed)
    return str(_bip39().to_mnemonic(seed))


def decode(text: str) -> DecodedPhrase:
    """Read a recovery phrase of any form.

    Letter case, accents, white space, numbering and punctuation don't matter. In Session's form only the first three
    letters of a word do; BIP39 words must be whole. Raises InvalidPhrase, which names at most one word of the
    phrase, and ChecksumWordMissing (one of its kinds) for a Session phrase without its last word.
    """
    _refuse_hex(text.strip())
    words = _split(text)
    match len(words):
        case 13:
            return _decode_session(words, PhraseForm.SESSION13)
        case 25:
            return _decode_session(words, PhraseForm.SESSION25)
        case 12:
            return _decode_bip39(words, PhraseForm.BIP39_12)
        case 24:
            return _decode_bip39(words, PhraseForm.BIP39_24)
        case 0:
            raise InvalidPhrase(f"There are no words here. {_FORMS}.")
        case 15 | 18 | 21 if all(word in _bip39_list() for word in words):
            raise InvalidPhrase(
                f"These are {len(words)} BIP39 words, but an account's seed makes 12 of them (or 24): "
                "this is a phrase of something else."
            )
        case count:
            raise InvalidPhrase(f"{_FORMS}; this has {count}.")


def decode_hex_seed(text: str) -> bytes:
    """Read a seed written as 32 hex digits (16 bytes), in either case. Raises InvalidPhrase for anything else."""
    digits = text.strip()
    if re.fullmatch(r"[0-9A-Fa-f]{32}", digits):
        return bytes.fromhex(digits)
    if re.fullmatch(r"05[0-9A-Fa-f]{64}", digits):
        raise InvalidPhrase("This is an account id, which anybody may know; a seed has 32 hex digits.")
    if re.fullmatch(r"[0-9A-Fa-f]+", digits):
        raise InvalidPhrase(f"A seed has 32 hex digits, this has {len(digits)}.")
    raise InvalidPhrase("A seed has 32 hex digits and nothing else.")


def _require_seed_size(seed: bytes) -> None:
    if len(seed) not in (16, 32):
        raise InvalidInput(f"A seed has 16 or 32 bytes, not {len(seed)}.")


def _refuse_hex(text: str) -> None:
    """Hex of the sizes that people have at hand gets an answer of its own instead of a count of words."""
    if not re.fullmatch(r"[0-9A-Fa-f]+", text):
        return
    if len(text) == 66:
        what = "an account id" if text.startswith("05") else "the id of a group or of somebody in a community"
        raise InvalidPhrase(f"This is {what}, not a recovery phrase: nothing can be restored from an id.")
    if len(text) == 32:
        raise InvalidPhrase("These are 32 hex digits, not words. If it is a seed in hex, say so.")


def _split(text: str) -> list[str]:
    """The words of a text in lower case: runs of letters, whatever stands between them.

    Accents are dropped (the decomposition makes them characters of their own) rather than cut a word in two.
    """
    decomposed = unicodedata.normalize("NFKD", text).lower()
    plain = "".join(character for character in decomposed if not unicodedata.combining(character))
    return re.findall(r"[^\W\d_]+", plain)


def _triple_of(value: int) -> tuple[int, int, int]:
    first = value % _BASE
    second = (value // _BASE + first) % _BASE
    third = (value // _BASE // _BASE + second) % _BASE
    return first, second, third


def _value_of(first: int, second: int, third: int) -> int:
    return first + _BASE * ((second - first) % _BASE) + _BASE * _BASE * ((third - second) % _BASE)


def _checksum_place(words: Sequence[str]) -> int:
    prefixes = "".join(word[:PREFIX_LETTERS] for word in words)
    return zlib.crc32(prefixes.encode("ascii")) % len(words)


@functools.cache
def _session_prefixes() -> dict[str, int]:
    return {word[:PREFIX_LETTERS]: index for index, word in enumerate(WORDS)}


@functools.cache
def _bip39() -> Mnemonic:
    from mnemonic import Mnemonic

    return Mnemonic("english")


@functools.cache
def _bip39_list() -> dict[str, None]:
    """The BIP39 words in their order, quick to look up."""
    return dict.fromkeys(_bip39().wordlist)


def _decode_session(words: Sequence[str], form: PhraseForm) -> DecodedPhrase:
    indices = [_session_index(word, position) for position, word in enumerate(words, start=1)]
    completed = tuple(
        (position, WORDS[index])
        for position, (word, index) in enumerate(zip(words, indices, strict=True), start=1)
        if word != WORDS[index]
    )
    body = indices[:-1]
    expected = body[_checksum_place([WORDS[index] for index in body])]
    if not hmac.compare_digest(WORDS[expected].encode(), WORDS[indices[-1]].encode()):
        raise InvalidPhrase(
            f"The checksum of this {len(words)}-word phrase does not hold: a word is wrong, or two have changed places."
        )
    seed = b""
    for start in range(0, len(body), 3):
        value = _value_of(*body[start : start + 3])
        # Three words can say a little more than 4 bytes hold. Other programs cut the excess off in silence, and so
        # restore an account that never had this phrase.
        if value >= _GROUP_LIMIT:
            raise InvalidPhrase(f"Words {start + 1} to {start + 3} together stand for no part of a seed: one is wrong.")
        seed += value.to_bytes(4, "little")
    return DecodedPhrase(seed, form, completed)


def _session_index(word: str, position: int) -> int:
    index = _session_prefixes().get(word[:PREFIX_LETTERS]) if len(word) >= PREFIX_LETTERS else None
    if index is None:
        raise _unknown_word(word, position, "Session's word list", WORDS)
    return index


def _decode_bip39(words: Sequence[str], form: PhraseForm) -> DecodedPhrase:
    """Decode 12 or 24 words, which are a BIP39 phrase, or a Session phrase that lacks its last word.

    Which of the two was meant is decided by the list that knows more of the words, and by the checksum where one
    list knows them all.
    """
    listed = _bip39_list()
    known = sum(word in listed for word in words)
    if known == len(words):
        seed = _bip39_seed(words)
        if seed is not None:
            return DecodedPhrase(seed, form)
    if _looks_like_session(words, known_to_bip39=known):
        for position, word in enumerate(words, start=1):
            _session_index(word, position)
        whole = len(words) + 1
        raise ChecksumWordMissing(
            f"These are {len(words)} words of Session's list, whose phrases have {whole}: "
            f"the {whole}th word, the checksum, is missing.",
            position=whole,
        )
    for position, word in enumerate(words, start=1):
        if word not in listed:
            raise _unknown_word(word, position, "the BIP39 word list", tuple(listed))
    raise InvalidPhrase(
        f"The checksum of this {len(words)}-word BIP39 phrase does not hold: "
        "a word is wrong, or two have changed places."
    )


def _looks_like_session(words: Sequence[str], *, known_to_bip39: int) -> bool:
    """Whether words that are no valid BIP39 phrase were rather meant as Session's."""
    session_words = set(WORDS)
    whole = sum(word in session_words for word in words)
    if whole > known_to_bip39 or whole == len(words):
        return True
    # Most BIP39 words begin like a word of Session's list, so prefixes tell something only where hardly any word is
    # a whole one of BIP39: then all of them were cut short.
    return 2 * known_to_bip39 < len(words) and all(word[:PREFIX_LETTERS] in _session_prefixes() for word in words)


def _bip39_seed(words: Sequence[str]) -> bytes | None:
    """The bytes behind listed words, or None if the checksum does not hold."""
    try:
        return bytes(_bip39().to_entropy(list(words)))
    except (ValueError, LookupError):
        return None


def _unknown_word(word: str, position: int, list_name: str, candidates: Sequence[str]) -> InvalidPhrase:
    if len(word) > _LONGEST_QUOTED:
        return InvalidPhrase(
            f"Word {position} is not in {list_name}, and longer than any word there: is a space missing?"
        )
    nearest = difflib.get_close_matches(word, candidates, n=1)
    hint = f"; the nearest word there is “{nearest[0]}”" if nearest else ""
    return InvalidPhrase(f"Word {position}, “{word}”, is not in {list_name}{hint}.")
