"""Any text gives a configuration or complaints, and nothing else."""

import os
from pathlib import Path
from random import Random

import pytest

from babelwg.config import ConfigErrors, parse_babeld
from babelwg.config.babeld.filter_grammar import CLAUSES
from babelwg.config.babeld.grammar import GLOBALS, PARAMETERS
from babelwg.config.toml import parse

SEEDS = range(int(os.environ.get("FUZZ_SEEDS", "200")))
NOWHERE = Path("/nonexistent/x.toml")


def words(text: str) -> list[str]:
    return text.split()


TOML_KEYS = words("""
    name private-key-file addresses announce sysctls backend listen-port mtu fwmark public-key endpoint
    history history-file keepalive cost
    table hello-interval update-interval override config interface preshared-key-file
""")
TOML_PIECES = [
    *TOML_KEYS,
    *words("[node] [tunnels] [babel] [[peer]] [peer] [peer.x] = = = \" ' ''' [ ] { } , . # \\ \\u0000"),
    *words(
        'true 0x10 -1 1e999 nan "alpha" "10.0.0.1/32" "::/0" "[::1]:1" "a:1" "main" 1979-05-27 "/dev/zero"'
    ),
    *('"""', "\n", "\n", "\n", "\r\n", "\x00", "é", "\u2028", "😀", "9" * 5000, '"' + "x" * 5000 + '"'),
]
TOML_VALUES = words('"x" 1 -1 true [] [[]] [1] {} ["::/0",2] nan 07:32:00 "" "\\u0000" "/dev/zero"')
BABELD_PIECES = [
    *(*GLOBALS, *PARAMETERS, *CLAUSES),
    *words("interface default redistribute in key eth0 10.0.0.0/8 2001:db8::/32 0 1 65536 0.5 true auto"),
    *words('ff02::1 02:00:00:00:00:00 " \\ # é - . 1..2 ٣'),
    *("\n", "\n", "\n", "\t", "\r", "\x00", "x" * 300),
]


def soup(random: Random, pieces: list[str], glue: str) -> str:
    return glue.join(random.choice(pieces) for _ in range(random.randrange(60)))


@pytest.mark.parametrize("seed", SEEDS)
def test_any_toml_gives_a_configuration_or_complaints(seed: int) -> None:
    random = Random(seed)
    text = soup(random, TOML_PIECES, random.choice(["", " "]))
    try:
        parse(text, NOWHERE)
    except ConfigErrors as errors:
        assert errors.errors
        assert all(error.message and error.file for error in errors.errors)


@pytest.mark.parametrize("seed", SEEDS)
def test_any_assignments_give_a_configuration_or_complaints(seed: int) -> None:
    # Lines that are TOML, so that the readers behind the parser see odd values.
    random = Random(seed)
    lines: list[str] = []
    for section in ("[node]", "[tunnels]", "[babel]", "[[peer]]", "[[peer]]"):
        chosen = random.sample(TOML_KEYS, random.randrange(len(TOML_KEYS)))
        lines += [section, *(f"{key} = {random.choice(TOML_VALUES)}" for key in chosen)]
    with pytest.raises(ConfigErrors) as caught:
        parse("\n".join(lines), NOWHERE)
    assert all(error.line is not None for error in caught.value.errors if error.file.endswith("x.toml"))


@pytest.mark.parametrize("seed", SEEDS)
def test_any_text_in_babelds_language_gives_a_configuration_or_complaints(seed: int) -> None:
    random = Random(seed)
    text = soup(random, BABELD_PIECES, random.choice(["", " ", " "]))
    try:
        parse_babeld(text, "babeld.conf")
    except ConfigErrors as errors:
        assert errors.errors
        assert all(error.line and error.column for error in errors.errors)
