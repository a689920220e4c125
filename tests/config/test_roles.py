"""The ready configurations in babeld's language are ones that we read."""

from pathlib import Path

import pytest

from babelwg.config import load_babeld

ROLES = sorted((Path(__file__).parent.parent.parent / "babeld-conf").glob("*.conf"))


@pytest.mark.parametrize("path", ROLES, ids=lambda path: path.name)
def test_a_role_loads_and_says_what_it_is_for(path: Path) -> None:
    assert load_babeld(path).interfaces
    assert path.read_text().startswith("# ")


def test_there_are_roles() -> None:
    assert ROLES
