"""A Tor network of one machine: real daemons, our own directory authorities, and no way to anywhere else.

Nothing of it reaches the public network: it has its own authorities and no fallbacks, every connection starts from
127.0.0.1, from where Linux lets none leave the machine, and names are looked up at a port where nobody listens.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from tests.support.sockets import peers
from tests.support.tools import find_tool, free_ports, tool_environment
from tests.support.waiting import wait_until

AUTHORITIES = 3
EXITS = 2
BOOTSTRAP_S = 90.0
_COMMON = """
TestingTorNetwork 1
UseDefaultFallbackDirs 0
Address 127.0.0.1
OutboundBindAddress 127.0.0.1
AssumeReachable 1
PathsNeededToBuildCircuits 0.67
V3AuthNIntervalsValid 3
ShutdownWaitLength 0
"""
_AUTHORITY = """
AuthoritativeDirectory 1
V3AuthoritativeDirectory 1
ContactInfo authority@example.invalid
ExitRelay 0
TestingV3AuthInitialVotingInterval 10
TestingV3AuthInitialVoteDelay 2
TestingV3AuthInitialDistDelay 2
V3AuthVotingInterval 10
V3AuthVoteDelay 2
V3AuthDistDelay 2
TestingDirAuthVoteGuard *
TestingDirAuthVoteExit *
TestingMinExitFlagThreshold 0
"""
# Clients go by summaries of exit policies, which leave private addresses out: an exit to loopback alone would never
# be chosen. What an exit can reach is decided by OutboundBindAddress. Nor may it refuse whom it does not know: the
# client often learns of the relays before the exits do.
_EXIT = """
ExitRelay 1
ExitPolicyRejectPrivate 0
ExitPolicy accept *:*
RefuseUnknownExits 0
ServerDNSDetectHijacking 0
ServerDNSTestAddresses
ServerDNSAllowBrokenConfig 1
"""
# The local network's nodes live all over 127.0.0.0/8, a part of which Tor takes for its own purposes by default.
_CLIENT = """
ClientRejectInternalAddresses 0
VirtualAddrNetworkIPv4 10.192.0.0/10
"""


@dataclass(frozen=True, slots=True)
class _Relay:
    nickname: str
    folder: Path
    or_port: int
    dir_port: int


class TorNetwork:
    """A private Tor network below a folder. A context manager; inside of it the client's SOCKS port works.

    `names` are what the client's Tor knows of names: each leads to an address, without anybody being asked. `peers`
    gathers the addresses, own and others', of the daemons' sockets: while the network starts, and when it stops.
    """

    def __init__(self, folder: Path, names: Mapping[str, str]) -> None:
        self._tor = find_tool("tor")
        self._gencert = find_tool("tor-gencert")
        self._folder = folder
        self._names = names
        self._daemons: list[subprocess.Popen[bytes]] = []
        self.socks_port = 0
        self.peers: set[str] = set()

    @property
    def proxy(self) -> str:
        """The client's SOCKS port, as a proxy URL."""
        return f"socks5h://127.0.0.1:{self.socks_port}"

    def __enter__(self) -> TorNetwork:
        try:
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """End all daemons."""
        self._look()
        for daemon in self._daemons:
            daemon.terminate()
        for daemon in self._daemons:
            try:
                daemon.wait(5)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()
        self._daemons.clear()

    def _start(self) -> None:
        ports = free_ports(2 * AUTHORITIES + EXITS + 1)
        self.socks_port = ports.pop()
        authorities = [
            _Relay(f"authority{n}", self._make(f"authority{n}"), ports.pop(), ports.pop()) for n in range(AUTHORITIES)
        ]
        exits = [_Relay(f"exit{n}", self._make(f"exit{n}"), ports.pop(), 0) for n in range(EXITS)]
        directory = "".join(self._found(authority) for authority in authorities)
        nowhere = self._folder / "resolv.conf"
        nowhere.write_text("nameserver 127.0.0.1:1\n")
        for relay in (*authorities, *exits):
            ports_of = f"Nickname {relay.nickname}\nORPort 127.0.0.1:{relay.or_port}\nSocksPort 0\n"
            if relay.dir_port:
                role = _AUTHORITY + f"DirPort 127.0.0.1:{relay.dir_port}\n"
            else:
                role = _EXIT + f"ServerDNSResolvConfFile {nowhere}\n"
            self._launch(relay.folder, _COMMON + directory + ports_of + role)
        maps = "".join(f"MapAddress {name} {address}\n" for name, address in self._names.items())
        socks = f"SocksPort 127.0.0.1:{self.socks_port}\n"
        self._launch(self._make("client"), _COMMON + directory + _CLIENT + maps + socks)
        try:
            wait_until(self._bootstrapped, BOOTSTRAP_S)
        except AssertionError as late:
            raise AssertionError(f"Tor did not start, {late}: {self.log()}") from None

    def _make(self, name: str) -> Path:
        folder = self._folder / name
        folder.mkdir(mode=0o700)
        return folder

    def _found(self, authority: _Relay) -> str:
        """Make an authority's keys; returns the line that names it to all."""
        keys = authority.folder / "keys"
        keys.mkdir(mode=0o700)
        certificate = keys / "authority_certificate"
        place = f"127.0.0.1:{authority.dir_port}"
        self._run(
            [
                *(self._gencert, "--create-identity-key", "--passphrase-fd", "0", "-m", "1", "-a", place),
                *("-i", str(keys / "authority_identity_key"), "-s", str(keys / "authority_signing_key")),
                *("-c", str(certificate)),
            ],
            stdin=b"a passphrase that nobody needs\n",
        )
        identity = re.search(r"^fingerprint ([0-9A-F]{40})$", certificate.read_text(), re.MULTILINE)
        assert identity is not None
        # Only makes the relay's keys and ends; the line of zeros stands for the authorities that are still to come.
        self._run(
            [
                *(*self._command(self._empty()), "--list-fingerprint", "--DataDirectory", str(authority.folder)),
                *("--Nickname", authority.nickname, "--ORPort", str(authority.or_port), "--DisableNetwork", "1"),
                *("--DirAuthority", f"nobody v3ident={'0' * 40} 127.0.0.1:1 {'0' * 40}"),
            ]
        )
        fingerprint = (authority.folder / "fingerprint").read_text().split()[1]
        return (
            f"DirAuthority {authority.nickname} orport={authority.or_port} no-v2 v3ident={identity[1]} "
            f"{place} {fingerprint}\n"
        )

    def _launch(self, folder: Path, settings: str) -> None:
        file = folder / "torrc"
        file.write_text(f"{settings}DataDirectory {folder}\nLog notice file {folder / 'log'}\n")
        self._check(file)
        owner = ["--__OwningControllerProcess", str(os.getpid())]  # should we be killed, they end by themselves
        self._daemons.append(
            subprocess.Popen(
                [*self._command(file), *owner],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=tool_environment(),
            )
        )

    def _check(self, settings: Path) -> None:
        """Fail, before anything is started, if Tor makes of the settings that it should go out into the world."""
        lines = self._run([*self._command(settings), "--dump-config", "short"]).splitlines()
        sources = ("DirAuthority ", "AlternateDirAuthority ", "AlternateBridgeAuthority ", "FallbackDir ", "Bridge ")
        directories = [line for line in lines if line.startswith(sources)]
        assert len(directories) == AUTHORITIES, directories
        assert all(line.startswith("DirAuthority ") and " 127.0.0.1:" in line for line in directories), directories
        assert {"TestingTorNetwork 1", "UseDefaultFallbackDirs 0", "OutboundBindAddress 127.0.0.1"} <= set(lines)

    def _command(self, settings: Path) -> list[str]:
        """Tor with these settings, and none that lie about on the machine."""
        return [self._tor, "--quiet", "-f", str(settings), "--defaults-torrc", str(self._empty())]

    def _empty(self) -> Path:
        file = self._folder / "empty"
        file.touch()
        return file

    def _run(self, command: Sequence[str], stdin: bytes = b"") -> str:
        done = subprocess.run(
            command, input=stdin, capture_output=True, env=tool_environment(), timeout=60, check=False
        )
        assert done.returncode == 0, (done.stdout + done.stderr).decode(errors="replace")
        return done.stdout.decode()

    def _bootstrapped(self) -> bool:
        for daemon in self._daemons:
            assert daemon.poll() is None, f"{daemon.args!r} ended"
        self._look()
        return "Bootstrapped 100%" in self.log()

    def _look(self) -> None:
        for daemon in self._daemons:
            if daemon.poll() is None:
                self.peers |= peers(daemon.pid)

    def log(self) -> str:
        """What the client's Tor has to say."""
        log = self._folder / "client" / "log"
        return log.read_text() if log.exists() else ""
