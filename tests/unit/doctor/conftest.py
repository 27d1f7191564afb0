"""A profile to examine."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from session_cli.core.client import Client
from session_cli.core.doctor import Subject

SubjectMaker = Callable[..., Subject]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def subject(home: Path) -> Iterator[SubjectMaker]:
    """Makes the subject of an examination; keywords in capitals are environment variables."""
    made: list[Subject] = []

    def make(profile: str = "default", **options: Any) -> Subject:
        environ = {"PATH": os.environ["PATH"], "SESSION_HOME": str(home)}
        environ |= {name: options.pop(name) for name in list(options) if name.isupper()}
        made.append(Subject(profile, environ=environ, **options))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def profile(home: Path) -> Path:
    """The folder of a profile with a key file."""
    with Client.create(environ={"SESSION_HOME": str(home)}) as client:
        return client.folder
