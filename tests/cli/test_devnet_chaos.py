"""`session devnet ... --chaos`: the format of its files, the profiles, and what goes wrong while a command runs."""

from __future__ import annotations

import logging
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from session_cli.cli.chaos_manual import EXAMPLE, INTRODUCTION, kinds
from session_cli.devnet.chaos_file import Plan, load_plan, parse_plan
from session_cli.devnet.fault_kinds import FAULTS
from session_cli.devnet.faults import Blame, Dead, Delay, Drop, WrongSwarm
from session_cli.devnet.injections import Aim
from session_cli.devnet.network import Devnet, DevnetOptions
from session_cli.devnet.profiles import PROFILES
from session_cli.errors import InvalidInput, UnreadableInput, UsageError
from tests.support.devnet import Person
from tests.support.outcomes import check_json_refusal, check_refusal
from tests.support.waiting import wait_until


@pytest.fixture(scope="module")
def net() -> Iterator[Devnet]:
    with Devnet(DevnetOptions(peer_timeout=0.1, hop_timeout=0.3)) as running:
        yield running


@pytest.fixture
def nobody(tmp_path: Path) -> Person:
    return Person(tmp_path / "home", "mainnet")


def one(table: str) -> Plan:
    return parse_plan(f"[[fault]]\n{table}", "f.toml")


# The format.


def test_all_keys() -> None:
    plan = parse_plan(
        """
        random_seed = 7
        [[fault]]
        kind = "delay"
        seconds = 1
        jitter = 0.5
        nodes = [1, 2]
        roles = ["guard", "exit"]
        methods = ["store"]
        probability = 0.5
        at = 2
        for = 3.5
        [[fault]]
        kind = "dead"
        how = "silent"
        swarm = 0
        seed = true
        file_server = false
        """,
        "f.toml",
    )
    first, second = plan.faults
    assert plan.random_seed == 7
    assert first.fault == Delay(1.0, 0.5)
    assert first.aim == Aim((1, 2), roles=frozenset({"guard", "exit"}), methods=frozenset({"store"}), probability=0.5)
    assert (first.at, first.seconds) == (2.0, 3.5)
    assert second.fault == Dead("silent")
    assert second.aim == Aim(swarm=0, seed=True)
    assert (second.at, second.seconds) == (0.0, None)


def test_values_of_several_types() -> None:
    assert one('kind = "blame"\nnode = 0').faults[0].fault == Blame(0)
    assert one(f'kind = "blame"\nnode = "{"ab" * 32}"').faults[0].fault == Blame("ab" * 32)
    assert one('kind = "wrong_swarm"\nmembers = [0, 1]').faults[0].fault == WrongSwarm(members=(0, 1))
    assert one('kind = "drop"\nafter = false').faults[0].fault == Drop()
    assert one('kind = "empty"\nnodes = "30%"').faults[0].aim == Aim("30%")


@pytest.mark.parametrize(
    ("table", "complaint"),
    [
        ("", "f.toml, fault 1: 'kind' is missing; it is one of delay, drop,"),
        ('kind = "dely"', "f.toml, fault 1: 'kind' is \"dely\", but must be one of delay, drop,"),
        ("kind = 1", "f.toml, fault 1: 'kind' is no text, but must be one of"),
        ('kind = "throttle"', "f.toml, fault 1 (throttle): 'bytes_per_second' is missing."),
        ('kind = "delay"\nsecond = 1', "f.toml, fault 1 (delay): 'second' is no key of it; its keys are seconds,"),
        ('kind = "delay"\nseconds = "1"', "'seconds' must be a number."),
        ('kind = "delay"\nseconds = true', "'seconds' must be a number."),
        ('kind = "delay"\nseconds = nan', "'seconds' must be a number."),
        ('kind = "delay"\nseconds = -1', "f.toml, fault 1 (delay): 'seconds' must not be negative."),
        ('kind = "delay"', "'seconds' must be positive where there is no 'jitter'."),
        ('kind = "delay"\nseconds = 0\njitter = 0', "'seconds' must be positive where there is no 'jitter'."),
        ('kind = "clock"\nseconds = 0', "'seconds' must not be 0."),
        ('kind = "altered_list"', "'add' must be positive where nothing stands in 'omit', 'move' or 'rekey'."),
        ('kind = "altered_list"\nadd = 0\nomit = []', "'add' must be positive where nothing stands in"),
        ('kind = "garble"\ncount = 1.5', "'count' must be a whole number."),
        ('kind = "drop"\nhow = "slowly"', """'how' must be one of "close", "hang"."""),
        ('kind = "drop"\nafter = 1', "'after' must be true or false."),
        ('kind = "altered_list"\nomit = 1', "'omit' must be a list of whole numbers."),
        ('kind = "altered_list"\nomit = ["1"]', "'omit' must be a list of whole numbers."),
        ('kind = "stale_list"\nsnapshot = []', "'snapshot' is no key of it"),
        ('kind = "empty"\nnodes = 1', "'nodes' must be a list of whole numbers or a text."),
        ('kind = "empty"\nnodes = "some"', "'nodes' must be a list of indices, or a share from"),
        ('kind = "empty"\nnodes = []', "'nodes' must not be empty."),
        ('kind = "empty"\nroles = ["king"]', "'roles' knows no 'king'; it knows destination, exit, guard, middle."),
        ('kind = "content_type"\nroles = ["middle"]', "'roles' 'middle' can't suffer from 'content_type'."),
        ('kind = "empty"\nroles = []', "'roles' must not be empty."),
        ('kind = "empty"\nmethods = ["steal"]', "'methods' knows no 'steal'; it knows active_nodes_bin, batch,"),
        (
            'kind = "empty"\nseed = true\nmethods = ["steal"]',
            "'methods' knows no 'steal'; it knows get_all_service_nodes, get_n_service_nodes,",
        ),
        (
            'kind = "empty"\nmethods = ["GET /file/<id>"]',
            "'methods' names 'GET /file/<id>', which only the file server answers: set 'file_server'.",
        ),
        (
            'kind = "empty"\nnodes = [1]\nmethods = ["store", "POST /file"]',
            "'methods' names 'POST /file', which only the file server answers: set 'file_server'.",
        ),
        (
            'kind = "empty"\nmethods = ["get_service_nodes"]',
            "'methods' names 'get_service_nodes', which only the seed node answers: set 'seed'.",
        ),
        (
            'kind = "empty"\nseed = true\nmethods = ["store"]',
            "'methods' names 'store', which only nodes answer: set 'nodes'.",
        ),
        (
            'kind = "empty"\nroles = ["exit"]\nmethods = ["store"]',
            "'methods' are not known to the exit, which can't read what it passes on.",
        ),
        ('kind = "empty"\nprobability = 2', "'probability' must be more than 0 and at most 1."),
        ('kind = "empty"\nswarm = 1\nnodes = [1]', "'swarm' can't be given together with 'nodes'."),
        ('kind = "clock"\nseed = true', "'seed' can't suffer from 'clock'."),
        ('kind = "wrong_swarm"\nmethods = ["store", "info"]', "'methods' 'info' can't suffer from 'wrong_swarm'."),
        (
            'kind = "lying_signatures"\nmethods = ["retrieve"]',
            "'methods' 'retrieve' can't suffer from 'lying_signatures'.",
        ),
        ('kind = "no_replication"\nmethods = ["batch"]', "'methods' 'batch' can't suffer from 'no_replication'."),
        ('kind = "stale_list"\nmethods = ["store"]', "'methods' 'store' can't suffer from 'stale_list'."),
        ('kind = "altered_list"\nadd = 1\nseed = true\nmethods = ["ons_resolve"]', "'methods' 'ons_resolve' can't"),
        ('kind = "dead"\nprobability = 0.5', "'probability' is nothing that 'dead' can have."),
        ('kind = "dead"\nmethods = ["store"]', "'methods' are nothing that 'dead' can be aimed at."),
        ('kind = "drop"\nroles = ["guard"]\nmethods = ["store"]', "'methods' are known to the destination alone"),
        ('kind = "empty"\nat = -1', "'at' must not be negative."),
        ('kind = "empty"\nfor = 0', "'for' must be positive."),
    ],
)
def test_errors_in_a_fault(table: str, complaint: str) -> None:
    with pytest.raises(InvalidInput) as error:
        one(table)
    assert complaint in error.value.message
    assert error.value.message.startswith("f.toml, fault 1")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[[fault]", "f.toml is no valid TOML"),
        ("", "f.toml has no [[fault]]."),
        ("fault = []", "f.toml has no [[fault]]."),
        ("[fault]\nkind = 'empty'", "f.toml: 'fault' must be a list of tables, each headed [[fault]]."),
        ("fault = [1]", "f.toml, fault 1: must be a table"),
        ("random_seed = 'x'\n[[fault]]\nkind = 'empty'", "f.toml: 'random_seed' must be a whole number."),
        ("seed = 1\n[[fault]]\nkind = 'empty'", "f.toml: 'seed' is no key of it; its keys are random_seed, fault."),
        ("[[fault]]\nkind = 'empty'\n[[fault]]\nkind = 'garble'\ncount = 0", "f.toml, fault 2 (garble): 'count'"),
        ("a = " + "[" * 3000 + "]" * 3000, "f.toml"),
    ],
)
def test_errors_in_a_file(text: str, complaint: str) -> None:
    with pytest.raises(InvalidInput) as error:
        parse_plan(text, "f.toml")
    assert complaint in error.value.message


def test_errors_of_reading(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="neither a file, nor one of half-gone, hostile"):
        load_plan("nothing")
    with pytest.raises(UnreadableInput):
        load_plan(str(tmp_path))
    for missing in ("nosuch.toml", "./nothing", "no/such/file"):
        with pytest.raises(UnreadableInput, match="No such file or directory"):
            load_plan(missing)
    with pytest.raises(UsageError, match="empty; give a file, or one of half-gone, hostile"):
        load_plan("")
    (tmp_path / "f.toml").write_bytes(b"\xff")
    with pytest.raises(InvalidInput, match="UTF-8"):
        load_plan(str(tmp_path / "f.toml"))


# Plans at work.


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (
            'kind = "dead"\nnodes = "100%"\nseed = true\nfile_server = true',
            'dead, how = "refuse", at all nodes, the seed and the file server',
        ),
        ('kind = "dead"\nhow = "silent"\nnodes = [3]', 'dead, how = "silent", at node 3'),
        ('kind = "empty"\nnodes = [7, 0, 3, 2, 1, 8]\nseed = true', "empty, at nodes 0-3, 7, 8 and the seed"),
        (
            'kind = "delay"\nseconds = 1\nroles = ["guard", "exit"]\nmethods = ["store"]\nprobability = 0.5',
            "delay, seconds = 1, jitter = 0, at all nodes as exit or guard, in store, with probability 0.5",
        ),
        ('kind = "endless"\nfile_server = true', "endless, bytes_per_second = 1000000, at the file server"),
        ('kind = "wrong_swarm"\nmembers = [1, 2]', 'wrong_swarm, shows = "real", members = [1, 2], at all nodes'),
        ('kind = "page"\nseed = true', "page, code = 200, at the seed"),
        ('kind = "stale_list"\nnodes = [0, 1]', "stale_list, at nodes 0 and 1"),
    ],
)
def test_faults_are_told_in_the_words_of_the_file(
    table: str, words: str, net: Devnet, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "session_cli"):
        net.chaos.follow(one(table))
        (injection,) = net.chaos.active
        injection.hits = 1
        net.chaos.clear()
    assert caplog.messages == [f"fault begins: {words}", f"fault ends after 1 hit: {words}"]


def test_what_was_revived_is_told_as_it_began(net: Devnet, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "session_cli"):
        net.chaos.kill([3])
        net.chaos.revive()
    assert caplog.messages[-1] == 'fault ends after 0 hits: dead, how = "refuse", at node 3'


@pytest.mark.parametrize("name", PROFILES)
def test_profiles(name: str, net: Devnet) -> None:
    """They load, fit a network of the usual size, and leave somebody alive in each swarm."""
    plan = load_plan(name)
    net.chaos.follow(plan)
    lasting = [planned for planned in plan.faults if planned.at == 0 and planned.seconds is None]
    assert [injection.fault for injection in net.chaos.active] == [planned.fault for planned in lasting]
    assert {node.swarm_id for node in net.nodes if node.running} == {node.swarm_id for node in net.nodes}
    assert sum(node.running for node in net.nodes) == (6 if name == "half-gone" else 12)
    net.chaos.clear()


def test_what_does_not_fit_the_network(net: Devnet) -> None:
    plan = parse_plan("[[fault]]\nkind = 'empty'\n[[fault]]\nkind = 'empty'\nnodes = [12]\nat = 60", "f.toml")
    with pytest.raises(InvalidInput, match=r"f.toml, fault 2 \(empty\): 'nodes' names node 12, but there are 12"):
        net.chaos.follow(plan)
    assert net.chaos.active == ()
    with pytest.raises(InvalidInput, match="'swarm' is 3, but there are 3"):
        net.chaos.follow(one('kind = "empty"\nswarm = 3'))


def test_breaks_and_heals(net: Devnet) -> None:
    net.chaos.follow(one('kind = "dead"\nnodes = [3]\nat = 0.1\nfor = 0.2'))
    assert net.nodes[3].running
    wait_until(lambda: not net.nodes[3].running)
    wait_until(lambda: net.nodes[3].running)
    assert net.chaos.active == ()


def test_equal_shares_are_the_same_nodes(net: Devnet) -> None:
    net.chaos.follow(load_plan("hostile"))
    assert len({injection.places for injection in net.chaos.active}) == 1
    net.chaos.clear()


def test_the_manual() -> None:
    """Its example works, and no kind is missing."""
    assert len(parse_plan(EXAMPLE, "example").faults) == 4
    assert sorted(name for rows in kinds().values() for name in rows) == sorted(FAULTS)


# The program.


def test_a_command_on_a_failing_network(nobody: Person, tmp_path: Path) -> None:
    """The faults are there before the command starts; -v tells of them."""
    file = tmp_path / "f.toml"
    file.write_text('[[fault]]\nkind = "status"\ncode = 418\nbody = "tea"\nfile_server = true\n')
    script = (
        "import os, tomllib, urllib.error, urllib.request\n"
        "url = tomllib.load(open(os.environ['SESSION_NETWORK'], 'rb'))['file_server']['url']\n"
        "try:\n    urllib.request.urlopen(url, timeout=5)\n"
        "except urllib.error.HTTPError as error:\n    print(error.code, error.read().decode())\n"
    )
    done = nobody.run("devnet", "exec", "-v", "--chaos", str(file), "--", sys.executable, "-c", script)
    assert done.text == "418 tea\n"
    assert 'fault begins: status, code = 418, body = "tea", after = false, at the file server\n' in done.stderr


def test_a_network_that_fails_until_interrupted(nobody: Person) -> None:
    with nobody.start(
        "devnet",
        "run",
        "--chaos",
        "outage",
        "--nodes",
        "4",
        "--swarms",
        "1",
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline().strip().endswith(b"network.toml")
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
    assert process.returncode == 0
    assert b"Traceback" not in errors


@pytest.mark.parametrize(
    ("chaos", "code", "words"),
    [
        ("nothing", 2, ("'nothing'", "half-gone")),
        ("", 2, ("empty", "half-gone")),
        (".", 66, ("Can't read .",)),
        ("nosuch.toml", 66, ("Can't read nosuch.toml: No such file or directory.",)),
        ("bad.toml", 65, ("bad.toml, fault 1 (delay)", "'seconds'")),
        ("unfit.toml", 65, ("unfit.toml, fault 1 (delay)", "node 40")),
    ],
)
def test_refusals(
    nobody: Person, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chaos: str, code: int, words: tuple[str, ...]
) -> None:
    (tmp_path / "bad.toml").write_text('[[fault]]\nkind = "delay"\nseconds = "x"')
    (tmp_path / "unfit.toml").write_text('[[fault]]\nkind = "delay"\nseconds = 1\nnodes = [40]')
    monkeypatch.chdir(tmp_path)
    check_refusal(nobody.try_run("devnet", "run", "--chaos", chaos), code, *words)


@pytest.mark.parametrize(
    ("command", "code", "reason"),
    [
        ("nosuchcmd", 127, "No such file or directory"),
        ("./nosuchcmd", 127, "No such file or directory"),
        ("./plain.txt", 126, "Permission denied"),
        (".", 126, "Permission denied"),
        ("./plain.txt/below", 126, "Not a directory"),
    ],
)
def test_commands_that_can_not_be_run(
    nobody: Person, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str, code: int, reason: str
) -> None:
    """The codes are those of env, nice and timeout."""
    (tmp_path / "plain.txt").write_text("#!/bin/sh\n")
    monkeypatch.chdir(tmp_path)
    run = ("devnet", "exec", "--nodes", "4", "--swarms", "1", "--", command)
    check_refusal(nobody.try_run(*run), code, f"session: Can't run {command!r}: {reason}.\n")
    error = check_json_refusal(nobody.try_run("--json", *run), code, "unreadable_input")
    assert error["message"] == f"Can't run {command!r}: {reason}."


def test_a_path_leads_past_the_profiles(nobody: Person, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "slow").write_text('[[fault]]\nkind = "mine"')
    monkeypatch.chdir(tmp_path)
    assert load_plan("slow").faults[0].fault == Delay(0.1, 0.3)
    check_refusal(nobody.try_run("devnet", "run", "--chaos", "./slow"), 65, "'kind' is \"mine\"")
    assert "./slow" in INTRODUCTION
    assert "./slow" in nobody.run("devnet", "run", "--help").text


def test_help_names_the_profiles(nobody: Person) -> None:
    shown = " ".join(nobody.run("devnet", "run", "--help").text.split())
    for name in PROFILES:
        assert name in shown
