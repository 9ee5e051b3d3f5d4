"""The peer, started once for all tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from benchmarks.peer import Peer, find_peer


@pytest.fixture(scope="session")
def peer() -> Iterator[Peer]:
    """A running NNCodec. Its absence fails the tests: nobody asks for them without wanting the answer."""
    python = find_peer()
    if python is None:
        pytest.fail("no NNCodec: `make interop` installs it into .venv-peer, or set NNR_PEER_PYTHON")
    with Peer(python) as running:
        yield running
