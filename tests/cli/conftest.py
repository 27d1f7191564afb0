"""What tests of several commands share."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.support.devnet import Person
from tests.support.friends import befriend
from tests.support.groups import make_group

People = Callable[[str], Person]


@pytest.fixture
def three(person: People) -> tuple[Person, Person, Person]:
    """Alice, who knows Bob and Carol, who don't know each other."""
    alice, bob, carol = (person(name) for name in ("Alice", "Bob", "Carol"))
    befriend(alice, bob)
    befriend(alice, carol)
    return alice, bob, carol


@pytest.fixture
def hikers(three: tuple[Person, Person, Person]) -> str:
    """The id of a group of the three, whose admin is Alice."""
    return make_group(three[0], "Hikers", *three[1:])
