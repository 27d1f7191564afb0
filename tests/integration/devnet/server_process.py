"""A network in a process of its own, whose memory can be measured: prints where it is, and ends with its input."""

from __future__ import annotations

import json
import sys

from session_cli.devnet.network import Devnet, DevnetOptions


def main() -> None:
    with Devnet(DevnetOptions()) as net:
        nodes = [[node.ip, node.port, node.ed25519.hex(), node.x25519.hex()] for node in net.nodes]
        place = {"nodes": nodes, "file_server": net.file_server_url, "x25519": net.file_server_x25519.hex()}
        print(json.dumps(place), flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
