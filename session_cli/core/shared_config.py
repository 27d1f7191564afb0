"""A config of the account, and which of it nobody but this device knows yet.

Configs forget a message once others are five ahead of it. Who was offline meanwhile would lose what he changed; so what
was changed here is put onto whatever the others have come to, until the swarm has it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ..protocol.config import diff as diffs
from ..protocol.config.message import LAG, Draft
from ..protocol.config.state import ConfigKeys, ConfigState, Merged
from ..protocol.config.tree import Tree


@dataclass(frozen=True, slots=True)
class SharedConfig:
    """A config's state, and (`base`) its data without the changes of ours that are still to be pushed.

    There is no base where everything is in the swarm.
    """

    state: ConfigState
    base: Tree | None = None

    def with_data(self, data: Tree) -> SharedConfig:
        """With other data, because it was changed here. The same, if it is the same data."""
        state = self.state.with_data(data)
        if state is self.state:
            return self
        return SharedConfig(state, self.state.data if self.base is None else self.base)

    def merge(self, stored: Iterable[tuple[str, bytes]], keys: ConfigKeys, now_ms: int) -> tuple[SharedConfig, Merged]:
        """Take in messages from the swarm, as `ConfigState.merge` does, without losing changes of ours."""
        merged = self.state.merge(stored, keys, now_ms)
        return self._onto(merged.state), merged

    def _onto(self, new: ConfigState) -> SharedConfig:
        old = self.state
        if new.message is old.message:
            # It may have been confirmed by that: what a push had stored came back.
            return SharedConfig(new, self.base if new.needs_push else None)
        if self.base is None:
            return SharedConfig(new, new.data if new.needs_push else None)
        highest = new.seqno - 1 if isinstance(new.message, Draft) else new.seqno
        if highest >= old.seqno + LAG:
            mine = diffs.apply(diffs.compare(self.base, old.data), new.data, old.data)
            return SharedConfig(new, new.data if new.needs_push else None).with_data(mine)
        if not new.needs_push:
            return SharedConfig(new)
        return SharedConfig(new, diffs.apply(diffs.compare(old.data, self.base), new.data, self.base))
