"""A mixed network for one test."""

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from integration.interop.net import Net


@pytest.fixture
def net(tmp_path: Path, needs: Callable[..., None]) -> Iterator[Net]:
    """Give a test an empty network, which is closed after it."""
    with closing(Net(tmp_path, needs)) as made:
        yield made
