"""The files in which one run leaves to the next what it has learnt."""

from __future__ import annotations

from pathlib import Path

from session_cli.network.pool_cache import PoolCache


def test_what_a_killed_process_left_goes_with_the_next_write(tmp_path: Path) -> None:
    cache = PoolCache(tmp_path, "net")
    (tmp_path / ".net.state.json.0123.new").write_text("half a fi")
    (tmp_path / ".other.state.json.0123.new").write_text("another network's")
    cache.update_state([lambda state: state.strike(b"k" * 32)])
    assert cache.load_state().strikes_of(b"k" * 32) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        ".other.state.json.0123.new",
        "net.lock",
        "net.state.json",
    ]
