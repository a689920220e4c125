"""What a node offers to complete in a shell."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from babelwg.config.addresses import parse_prefix
from babelwg.daemon.control import RequestError
from babelwg.daemon.queries.words import MAX_WORDS, Words


def words(learned: list[str], announced: list[str] = [], **params: Any) -> list[str]:  # noqa: B006  # never changed
    node = SimpleNamespace(
        config=None,
        routing=SimpleNamespace(
            wanted={"bw-bravo": None, "eth0": None}, announced={parse_prefix(p): 0 for p in announced}
        ),
        routes=SimpleNamespace(learned={parse_prefix(text): None for text in learned}),
    )
    context: Any = SimpleNamespace(node=node, names=SimpleNamespace(all=lambda: ["alpha", "bravo"]))
    answer: list[str] = asyncio.run(Words(context).methods()["words"](params))
    return answer


def test_words_begin_as_asked_and_stand_by_kind() -> None:
    learned = ["2001:db8:2::/48", "2001:db8:1::/48", "10.0.0.0/8"]
    assert words(learned, kinds=["prefixes"], begin="2001:") == ["2001:db8:1::/48", "2001:db8:2::/48"]
    assert words(learned, kinds=["names", "interfaces"], begin="b") == ["bravo", "bw-bravo"]
    assert words(learned, ["10.1.0.0/16"], kinds=["prefixes"], begin="10.") == ["10.0.0.0/8", "10.1.0.0/16"]


def test_a_name_stands_for_all_that_it_selects() -> None:
    names = SimpleNamespace(all=list, selected_by=lambda name: {name, "bw-bravo", "bravo"})
    context: Any = SimpleNamespace(names=names, learn_names=lambda: None)
    ask = Words(context).methods()["named"]
    assert asyncio.run(ask({"name": "house"})) == ["bravo", "bw-bravo", "house"]  # type: ignore[arg-type]
    with pytest.raises(RequestError, match="`name` is a text"):
        asyncio.run(ask({}))  # type: ignore[arg-type]


def test_addresses_are_those_of_single_hosts() -> None:
    learned = ["10.0.0.0/8", "10.0.0.7/32", "2001:db8::7/128", "2001:db8::/32"]
    assert words(learned, kinds=["addresses"], begin="") == ["10.0.0.7", "2001:db8::7"]


def test_there_are_never_more_than_somebody_reads() -> None:
    learned = [f"10.{n >> 8}.{n & 255}.0/24" for n in range(1000)]
    assert len(words(learned, kinds=["prefixes"], begin="")) == MAX_WORDS


@pytest.mark.parametrize("kinds", [None, "prefixes", ["keys"], [[]]])
def test_other_kinds_are_refused(kinds: object) -> None:
    with pytest.raises(RequestError):
        words([], kinds=kinds)


def test_what_begins_with_no_text_is_refused() -> None:
    with pytest.raises(RequestError):
        words([], kinds=["prefixes"], begin=7)
