"""Peers put in, changed and taken out: nothing else in the text moves."""

import tomllib
from random import Random

import pytest

from babelwg.config.toml import edit
from babelwg.config.toml.edit import add_peers, peer_names, remove_peer, set_peer
from babelwg.config.toml.positions import Span, spans

TEXT = """\
# my node
[node]
name = "alpha"      # me

# One [[peer]] for each peer.

# bravo lives
# next door
[[peer]]
name = "bravo"
public-key = "B"
endpoint = [        # two of them
    "a:1",
    "b:2",
]
cost = 5            # slow

# charlie is far
[[peer]]
  name = 'charlie'
  public-key = '''C'''

[babel]             # last
hello-interval = 4
"""


def test_a_new_peer_stands_at_the_end_after_a_blank_line() -> None:
    text = add_peers(TEXT, [{"name": "delta", "public-key": "D", "endpoint": ["x:1"], "keepalive": 25}])
    assert text == TEXT + (
        '\n[[peer]]\nname = "delta"\npublic-key = "D"\nendpoint = ["x:1"]\nkeepalive = 25\n'
    )
    assert peer_names(text) == ["bravo", "charlie", "delta"]


def test_a_removed_peer_takes_its_comment_along_and_nothing_else() -> None:
    assert remove_peer(TEXT, "bravo") == TEXT.replace(
        TEXT[TEXT.index("# bravo lives") : TEXT.index("# charlie is far")], ""
    )
    assert remove_peer(TEXT, "charlie") == TEXT.replace(
        TEXT[TEXT.index("# charlie is far") : TEXT.index("[babel]")], ""
    )
    last = add_peers(TEXT, [{"name": "delta", "public-key": "D"}])
    assert remove_peer(last, "delta") == TEXT


def test_a_changed_value_keeps_its_comment_and_place() -> None:
    assert set_peer(TEXT, "bravo", {"cost": 7}) == TEXT.replace("cost = 5   ", "cost = 7   ")
    assert set_peer(TEXT, "charlie", {"name": "carol"}) == TEXT.replace("'charlie'", '"carol"')


def test_a_new_key_stands_after_the_last_one_of_its_peer() -> None:
    assert set_peer(TEXT, "charlie", {"cost": 9, "keepalive": None}) == TEXT.replace(
        "'''C'''\n", "'''C'''\n  cost = 9\n"
    )
    text = set_peer(TEXT, "bravo", {"keepalive": 25})
    assert text == TEXT.replace("# slow\n", "# slow\nkeepalive = 25\n")


def test_a_key_is_taken_away_with_its_line() -> None:
    assert set_peer(TEXT, "bravo", {"cost": None}) == TEXT.replace("cost = 5            # slow\n", "")
    text = set_peer(TEXT, "bravo", {"endpoint": None})
    assert tomllib.loads(text)["peer"][0] == {"name": "bravo", "public-key": "B", "cost": 5}


def test_a_file_of_one_peer_needs_no_header() -> None:
    text = '# only one\nname = "bravo"\npublic-key = "B"   # key\n'
    assert peer_names(text) == ["bravo"]
    assert set_peer(text, "bravo", {"cost": 3}) == text + "cost = 3\n"
    assert remove_peer(text, "bravo") == ""


def test_peers_in_one_list_stay_there() -> None:
    text = 'peer = [\n  {name = "b", public-key = "B"}, # first\n  {name = "c", public-key = "C"},\n]\n'
    added = add_peers(text, [{"name": "d", "public-key": "D"}])
    assert peer_names(added) == ["b", "c", "d"]
    assert "# first" in added
    assert peer_names(remove_peer(added, "c")) == ["b", "d"]
    changed = tomllib.loads(set_peer(text, "c", {"cost": 4, "public-key": "X"}))
    assert changed["peer"][1] == {"name": "c", "public-key": "X", "cost": 4}


def test_lines_may_end_as_on_windows() -> None:
    text = TEXT.replace("\n", "\r\n")
    assert set_peer(text, "charlie", {"cost": 9}) == set_peer(TEXT, "charlie", {"cost": 9}).replace(
        "\n", "\r\n"
    )
    assert remove_peer(text, "bravo") == remove_peer(TEXT, "bravo").replace("\n", "\r\n")


@pytest.mark.parametrize("seed", range(30))
def test_any_sequence_of_edits_gives_the_peers_that_were_asked_for(seed: int) -> None:
    rng = Random(seed)
    text = TEXT
    wanted = {peer["name"]: peer for peer in tomllib.loads(TEXT)["peer"]}
    for number in range(30):
        name = rng.choice([*wanted]) if wanted else ""
        action = rng.choice(["add", "remove", "set", "unset"]) if wanted else "add"
        if action == "add":
            peer = {"name": f"n{number}", "public-key": 'quoted "key" \\ #'}
            text, wanted[peer["name"]] = add_peers(text, [peer]), peer
        elif action == "remove":
            text = remove_peer(text, name)
            del wanted[name]
        elif action == "set":
            text = set_peer(text, name, {"cost": number, "endpoint": [f"h:{number}", "x:1"]})
            wanted[name] |= {"cost": number, "endpoint": [f"h:{number}", "x:1"]}
        else:
            text = set_peer(text, name, {"cost": None})
            wanted[name].pop("cost", None)
        values = tomllib.loads(text)
        assert values.get("peer", []) == [*wanted.values()]
        assert values["node"] == {"name": "alpha"}
        assert values["babel"] == {"hello-interval": 4}
    assert "# me" in text
    assert "# last" in text


@pytest.mark.parametrize("text", [TEXT, 'peer = [{ name = "a", public-key = "A" }]\n'])
def test_many_peers_cost_one_look_at_the_text(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    peers: list[dict[str, edit.Value]] = [{"name": f"n{n}", "public-key": "K"} for n in range(30)]
    one_by_one = text
    for peer in peers:
        one_by_one = add_peers(one_by_one, [peer])
    looks = []

    def counted(plain: str) -> list[Span]:
        looks.append(plain)
        return spans(plain)

    monkeypatch.setattr(edit, "spans", counted)
    assert add_peers(text, peers) == one_by_one
    assert len(looks) == 1
