"""The [[gateway]] tables of the TOML file."""

from pathlib import Path

import pytest

from babelwg.babel.wire.prefix import Prefix
from babelwg.config import Check, ConfigErrors, GatewayConfig
from babelwg.config.toml import parse

KEY = "sH9F2v2YzNnXh3sQm0f9oKc1h0a0m0o5n3W2r6w0y1s="


def gateways(tmp_path: Path, text: str) -> tuple[GatewayConfig, ...]:
    key = tmp_path / "node.key"
    key.write_text(f"{KEY}\n")
    key.chmod(0o600)
    head = '[node]\nname = "a"\nprivate-key-file = "node.key"\nannounce = ["2001:db8:a::/48"]\n'
    return parse(f"{head}{text}", tmp_path / "babelwg.toml").gateways


def test_a_gateway_says_what_and_how_it_is_checked(tmp_path: Path) -> None:
    text = """
    [[gateway]]
    prefix = "::/0"
    from = "2001:db8:a::/48"
    metric = 10
    interface = "wan"
    interval = 1
    timeout = 0.5
    fall = 4
    rise = 5
    require = "any"
    check = [
      { ping = "2001:db8::1" },
      { tcp = "example.net:443" },
      { http = "https://[2001:db8::2]/generate_204?x=1", status = 204 },
      { http = "http://example.net:8080" },
      { dns = "example.net", server = "192.0.2.1" },
      { dns = "example.org" },
      { command = ["/usr/local/bin/check", "wan"] },
    ]

    [[gateway]]
    prefix = "0.0.0.0/0"
    """
    checks = (
        Check("ping", "2001:db8::1"),
        Check("tcp", "example.net", 443),
        Check("http", "2001:db8::2", 443, "/generate_204?x=1", True, 204),
        Check("http", "example.net", 8080),
        Check("dns", "example.net", server=bytes([192, 0, 2, 1])),
        Check("dns", "example.org"),
        Check("command", command=("/usr/local/bin/check", "wan")),
    )
    prefix = Prefix.parse("::/0 from 2001:db8:a::/48")
    assert gateways(tmp_path, text) == (
        GatewayConfig(prefix, 10, "wan", checks, 1.0, 0.5, 4, 5, require_all=False),
        GatewayConfig(Prefix.parse("0.0.0.0/0"), 0, None, (), 5.0, 2.0, 3, 2),
    )


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ("", '"prefix" is missing'),
        ('prefix = "::/0"\nfrom = "10.0.0.0/8"', "mixes address families"),
        ('prefix = "fe80::/64"', "local or multicast"),
        ('prefix = "::/0"\nfrom = "2001:db8::1/48"', "did you mean 2001:db8::/48"),
        ('prefix = "2001:db8:a::/48"', "is announced by [node] whatever a check says"),
        ('prefix = "::/0"\ntimeout = 9', '"timeout" must not be longer than "interval"'),
        ('prefix = "::/0"\nrequire = "most"', '"require" must be "all" or "any"'),
        ('prefix = "::/0"\nfall = 0', '"fall" must be 1-1000'),
        ('prefix = "::/0"\ninterface = "a b"', "cannot be the name of an interface"),
        ('prefix = "::/0"\ncheck = [{}]', "this one has none"),
        ('prefix = "::/0"\ncheck = [{ ping = "192.0.2.1", tcp = "a:1" }]', "this one has ping and tcp"),
        ('prefix = "::/0"\ncheck = [{ ping = "example.net" }]', "is not an IPv4 or IPv6 address"),
        ('prefix = "::/0"\ncheck = [{ ping = "192.0.2.0/24" }]', "is a network, not an address"),
        ('prefix = "::/0"\ncheck = [{ tcp = "192.0.2.1" }]', "has no port"),
        ('prefix = "::/0"\ncheck = [{ http = "ftp://example.net" }]', "is not http://host/path"),
        ('prefix = "::/0"\ncheck = [{ http = "http://a b/" }]', "has a user name, or characters"),
        ('prefix = "::/0"\ncheck = [{ ping = "192.0.2.1", status = 3 }]', 'unknown key "status"'),
        ('prefix = "::/0"\ncheck = [{ http = "http://x.net", status = 999 }]', '"status" must be 100-599'),
        ('prefix = "::/0"\ncheck = [{ command = ["true"] }]', "begins with the path of a program"),
        ('prefix = "::/0"\nchecks = []', "did you mean"),
        ('prefix = "::/0"\n[[gateway]]\nprefix = "::/0"', "::/0 is there already"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_its_place(tmp_path: Path, lines: str, words: str) -> None:
    with pytest.raises(ConfigErrors) as refused:
        gateways(tmp_path, f"[[gateway]]\n{lines}\n")
    assert words in str(refused.value)
    assert "babelwg.toml:" in str(refused.value)
