"""Desired, actual, plan: rules, sysctls and tunnels."""

from pathlib import Path

from babelwg.config.keys import Key
from babelwg.linux.rules import Rule, desired_rules, plan_rules
from babelwg.linux.sysctls import (
    apply_sysctls,
    desired_sysctls,
    reverse_path_sysctls,
    router_advertisement_sysctls,
)
from babelwg.linux.tunnels.tunnel import RemoveTunnel, SetTunnel, Tunnel, plan_tunnels

LOCAL = bytes.fromhex("fe80") + bytes(13) + b"\x01"


def tunnel(name: str, backend: str = "embedded", keepalive: int = 0) -> Tunnel:
    return Tunnel(
        name, name, backend, Key(b"\1" * 32), Key(b"\2" * 32), 51820, 1420, 0x6277, LOCAL, keepalive=keepalive
    )


def test_rules_lead_unmarked_packets_to_our_table_in_both_families() -> None:
    assert desired_rules(6696, 0x6277) == {
        Rule(6, 6679, 254, to="fe80::/10"),
        # Marked packets pass over the rules of source prefixes.
        Rule(4, 6679, 0, fwmark=0x6277, goto=6696),
        Rule(6, 6679, 0, fwmark=0x6277, goto=6696),
        Rule(4, 6696, 6696, fwmark=0x6277),
        Rule(6, 6696, 6696, fwmark=0x6277),
    }


def test_no_rules_are_needed_when_routes_go_to_main() -> None:
    assert desired_rules(254, 0x6277) == set()


def test_plan_of_rules_is_empty_when_equal_and_adds_before_it_removes() -> None:
    wanted = desired_rules(6696, 0x6277)
    assert plan_rules(wanted, wanted) == ([], [])
    stale = Rule(4, 6690, 6700)
    assert plan_rules(wanted, {stale}) == (sorted(wanted), [stale])


def test_plan_of_tunnels_is_empty_when_nothing_changed() -> None:
    tunnels = {"bw-a": tunnel("bw-a"), "bw-b": tunnel("bw-b")}
    assert plan_tunnels(tunnels, tunnels) == []


def test_plan_touches_only_the_tunnel_that_changed() -> None:
    actual = {"bw-a": tunnel("bw-a"), "bw-b": tunnel("bw-b")}
    changed = tunnel("bw-b", keepalive=25)
    assert plan_tunnels(actual | {"bw-b": changed}, actual) == [SetTunnel(changed)]


def test_a_tunnel_that_changes_its_back_end_is_removed_first() -> None:
    old, new = tunnel("bw-a"), tunnel("bw-a", backend="kernel")
    assert plan_tunnels({"bw-a": new}, {"bw-a": old}) == [RemoveTunnel(old), SetTunnel(new)]


def test_sysctls_that_differ_are_written_and_their_old_values_told(tmp_path: Path) -> None:
    (tmp_path / "ipv4").mkdir()
    (tmp_path / "ipv4/ip_forward").write_text("0\n")
    changed, failed = apply_sysctls({"ipv4/ip_forward": "1", "ipv6/none": "1"}, tmp_path)
    assert changed == {"ipv4/ip_forward": "0"}
    assert failed == {"ipv6/none": "No such file or directory"}
    assert (tmp_path / "ipv4/ip_forward").read_text() == "1"
    assert apply_sysctls({"ipv4/ip_forward": "1"}, tmp_path) == ({}, {})


def test_tunnels_have_no_reverse_path_check() -> None:
    # They have no IPv4 address, so even the loose check drops traffic that returns another way.
    assert desired_sysctls(["bw-a"])["ipv4/conf/bw-a/rp_filter"] == "0"


def test_a_common_reverse_path_check_moves_to_the_other_interfaces(tmp_path: Path) -> None:
    for name, value in (("all", "1"), ("default", "0"), ("eth0", "2")):
        path = tmp_path / "ipv4/conf" / name
        path.mkdir(parents=True)
        (path / "rp_filter").write_text(value)
    assert reverse_path_sysctls(tmp_path) == {
        "ipv4/conf/all/rp_filter": "0",
        "ipv4/conf/default/rp_filter": "1",
        "ipv4/conf/eth0/rp_filter": "2",
    }
    (tmp_path / "ipv4/conf/all/rp_filter").write_text("0")
    assert reverse_path_sysctls(tmp_path) == {}


def test_router_advertisements_stay_accepted_where_they_were(tmp_path: Path) -> None:
    for name, value in (("eth0", "1"), ("eth1", "0"), ("eth2", "2"), ("lo", "1")):
        path = tmp_path / "ipv6/conf" / name
        path.mkdir(parents=True)
        (path / "accept_ra").write_text(value)
    assert router_advertisement_sysctls(tmp_path) == {"ipv6/conf/eth0/accept_ra": "2"}
