"""Short forms of findings."""

from __future__ import annotations

from collections.abc import Iterable

from session_cli.core.doctor import Finding, Status


def statuses(findings: Iterable[Finding]) -> list[str]:
    """Their statuses, after a look at what holds for all of them."""
    found = list(findings)
    for finding in found:
        assert finding.message, finding
        assert "\n" not in finding.message, finding
        assert (finding.advice is not None) == (finding.status in (Status.WARNING, Status.PROBLEM)), finding
    return [str(finding.status) for finding in found]


def text(findings: Iterable[Finding]) -> str:
    """All that they say."""
    return "\n".join(f"{finding.message} {finding.advice or ''}" for finding in findings)
