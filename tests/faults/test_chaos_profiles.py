"""The ready-made plans of faults: five messages each, which arrive once, or are said not to have been sent."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from session_cli.devnet.chaos_file import load_plan
from session_cli.devnet.network import Devnet, DevnetOptions
from session_cli.devnet.profiles import PROFILES
from tests.support.rough import Correspondence, acquaint
from tests.support.waiting import wait_until

MESSAGES = 5
TIMEOUT_S = 30.0
HASTE = 10
"""Plans that take their time are followed so much faster."""


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Correspondence]:
    """Alice and Bob on a network of their own: what a plan has set for later would befall the next test."""
    with Devnet(DevnetOptions(peer_timeout=0.3, hop_timeout=3.0)) as net:
        yield Correspondence(net, *acquaint(net, tmp_path))


@pytest.mark.parametrize("name", PROFILES)
def test_it_ends_honestly(name: str, pair: Correspondence) -> None:
    plan = load_plan(name)
    hasty = [
        replace(planned, at=planned.at / HASTE, seconds=planned.seconds and planned.seconds / HASTE)
        for planned in plan.faults
    ]
    pair.net.chaos.follow(replace(plan, faults=tuple(hasty)))
    wait_until(lambda: len(pair.net.chaos.active) == len(hasty))
    for number in range(MESSAGES):
        pair.try_send(f"message {number}", timeout=TIMEOUT_S)
    pair.try_receive(timeout=TIMEOUT_S)
    if name != "outage":
        assert len(pair.sent) >= MESSAGES - 1, f"nearly all of it gets through: {pair.said}"
    pair.settle(taken=tuple(pair.failed))
