"""A config of the account, and which of it nobody but this device knows yet.

Configs forget a message once others are five ahead of it. Who was offline meanwhile would lose what he changed; so what
was changed here is put onto whatever the others have come to, until the swarm has it. Nor must others lose what they
changed: messages of ours that never arrived count for nothing, and we don't go far ahead with them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from ..protocol.config import diff as diffs
from ..protocol.config import dump as dumps
from ..protocol.config.dump import Base
from ..protocol.config.kinds import ConfigKind
from ..protocol.config.message import LAG, ConfigMessage, Draft
from ..protocol.config.state import ConfigKeys, ConfigState, Merged
from ..protocol.config.tree import Tree
from ..store.configs import ConfigRow

MOST_AHEAD = 3
"""How far our message may be ahead of the swarm's. One that was pushed may be there although no answer came, and what
was changed since comes after it; but `LAG` ahead, others would forget theirs."""


@dataclass(frozen=True, slots=True)
class SharedConfig:
    """A config's state, and (`base`) what it was without the changes of ours that are still to be pushed.

    There is no base where everything is in the swarm.
    """

    state: ConfigState
    base: Base | None = None

    @classmethod
    def of_row(cls, kind: ConfigKind, row: ConfigRow | None) -> SharedConfig:
        """The config of a row; an empty one where there is none."""
        if row is None:
            return cls(ConfigState(kind))
        return cls(dumps.load(kind, row.dump), dumps.load_base(row.base) if row.base is not None else None)

    def row(self) -> ConfigRow:
        """What the store keeps of it."""
        base = dumps.dump_base(self.base) if self.base is not None else None
        return ConfigRow(dumps.dump(self.state), base)

    def with_data(self, data: Tree) -> SharedConfig:
        """With other data, because it was changed here. The same, if it is the same data."""
        state = self.state.with_data(data)
        if state is self.state:
            return self
        return SharedConfig(state, self.base or Base(self.state.seqno, self.state.data))

    def outspoken(self) -> SharedConfig:
        """With a draft that says all that others don't know yet, and is not far ahead of what they know.

        What was changed some messages ago would stand in none that others still look at.
        """
        state, base = self.state, self.base
        if base is None or not isinstance(state.message, Draft) or state.data == base.data:
            return self
        return replace(self, state=state.redrafted(base.data, min(state.seqno, base.seqno + MOST_AHEAD)))

    def merge(self, stored: Iterable[tuple[str, bytes]], keys: ConfigKeys, now_ms: int) -> tuple[SharedConfig, Merged]:
        """Take in messages from the swarm, as `ConfigState.merge` does, without losing changes of ours."""
        merged = self.state.merge(stored, keys, now_ms)
        return self._onto(merged.state, merged.newest), merged

    def _onto(self, new: ConfigState, newest: ConfigMessage | None) -> SharedConfig:
        old, base = self.state, self.base
        if new.message is old.message:
            # It may have been confirmed by that: what a push had stored came back.
            if base is None or not new.needs_push:
                return SharedConfig(new)
            # Or one before it was, whose answer was lost; what was changed since is all that is still to be told.
            return SharedConfig(new, base if newest is None or newest.seqno < base.seqno else _base_of(newest))
        if base is None:
            return SharedConfig(new, Base(new.seqno - 1, new.data) if new.needs_push else None)
        reached = new.seqno - 1 if isinstance(new.message, Draft) else new.seqno
        if reached >= old.seqno + LAG:
            mine = diffs.apply(diffs.compare(base.data, old.data), new.data, old.data)
            return SharedConfig(new, Base(reached, new.data) if new.needs_push else None).with_data(mine)
        if not new.needs_push:
            return SharedConfig(new)
        theirs = diffs.apply(diffs.compare(old.data, base.data), new.data, base.data)
        return SharedConfig(new, Base(max(base.seqno, newest.seqno if newest else 0), theirs)).outspoken()


def _base_of(message: ConfigMessage) -> Base:
    return Base(message.seqno, message.data)
