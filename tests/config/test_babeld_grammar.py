"""babeld's configuration language: words, values, directives and their mistakes."""

from dataclasses import replace
from pathlib import Path

import pytest

from babelwg.babel.wire.mac import MacKey
from babelwg.config import BabeldConfig, ConfigErrors, load_babeld, parse_babeld
from babelwg.config.babeld import amend
from babelwg.config.babeld.lexer import Mistake, c_integer, split


def parse(text: str) -> BabeldConfig:
    return parse_babeld(text, "babeld.conf")


def mistakes(text: str) -> list[str]:
    """Return the complaints about a text."""
    with pytest.raises(ConfigErrors) as caught:
        parse(text)
    return [str(error) for error in caught.value.errors]


def test_words_end_at_white_space_and_comments() -> None:
    words = split("interface\teth0  type wired\r")
    assert [word.text for word in words] == ["interface", "eth0", "type", "wired"]
    assert [word.text for word in split("dump#x")] == ["dump"]
    assert split("  # nothing") == []


def test_string_in_quotation_marks_keeps_spaces_and_escapes() -> None:
    words = split(r'log-file "/var/log/a \"b\" # c"')
    assert [word.text for word in words] == ["log-file", '/var/log/a "b" # c']


def test_unclosed_string_and_long_words_are_mistakes() -> None:
    for line in ('log-file "x', 'log-file "x\\', "x" * 256):
        with pytest.raises(Mistake):
            split(line)
    assert len(split("x" * 255)) == 1


@pytest.mark.parametrize(
    ("word", "value"),
    [("0", 0), ("42", 42), ("0x1F", 31), ("010", 8), ("08", None), ("-1", None), ("1x", None), ("0x", None)],
)
def test_integers_are_those_of_c(word: str, value: int | None) -> None:
    assert c_integer(word) == value


def test_empty_file_has_babelds_defaults() -> None:
    config = parse("\n  # comment\n\r\n")
    assert config.interfaces == ()
    assert (config.protocol_port, config.export_table, config.import_tables) == (6696, 254, (254,))
    assert (config.random_id, config.router_id, config.local_port) == (False, None, None)
    assert config.state_file == "/var/lib/babel-state"


def test_recorded_configuration_of_babeld_is_understood() -> None:
    config = parse(
        "router-id 02:00:00:00:00:00:00:0c\n"
        "skip-kernel-setup true\n"
        "local-path /run/babeld-ro.sock\n"
        "interface cfcb type wired\n"
        "redistribute proto 4 ip ::/0 eq 0 src-prefix 2001:db8:c::/48 metric 128\n"
        "redistribute proto 4 ip 2001:db8:ffff::/48 allow\n"
        "redistribute proto 4 metric 256\n"
    )
    assert config.router_id == bytes.fromhex("020000000000000c")
    assert config.skip_kernel_setup
    assert config.local_path == "/run/babeld-ro.sock"
    assert [(interface.name, interface.kind) for interface in config.interfaces] == [("cfcb", "wired")]
    assert [line.metric for line in config.filters] == [128, 0, 256]
    assert str(config.filters[0].set_source_prefix) == "2001:db8:c::/48"


def test_every_global_directive_is_understood() -> None:
    config = parse(
        "protocol-group ff02::1:7\nprotocol-port 6698\nkernel-priority 5\nreflect-kernel-metric yes\n"
        "allow-duplicates 3\nrandom-id true\nipv6-subtrees false\ndebug 2\nlocal-port-readwrite 33123\n"
        "export-table 10\nimport-table 11\nimport-table 12\nkernel-check-interval 60\nshutdown-delay-ms 250\n"
        'link-detect true\nlog-file "/tmp/a b"\npid-file ""\nstate-file /tmp/state\nsmoothing-half-life 0\n'
        "daemonise true\nskip-kernel-setup no\nrouter-id 02-00-00-aa-bb-cc\n"
    )
    assert config == BabeldConfig(
        protocol_group=bytes.fromhex("ff020000000000000000000000010007"),
        protocol_port=6698,
        kernel_priority=5,
        reflect_kernel_metric=True,
        allow_duplicates=3,
        random_id=True,
        router_id=bytes.fromhex("020000fffeaabbcc"),
        ipv6_subtrees=False,
        debug=2,
        local_port=33123,
        local_readwrite=True,
        export_table=10,
        import_tables=(11, 12),
        kernel_check_interval=60.0,
        shutdown_delay=0.25,
        link_detect=True,
        log_file="/tmp/a b",
        pid_file="",
        state_file="/tmp/state",
        smoothing_half_life=0.0,
        daemonise=True,
        skip_kernel_setup=False,
    )


def test_last_local_server_wins() -> None:
    config = parse("local-port 33123\nlocal-path-readwrite /run/b.sock\n")
    assert (config.local_port, config.local_path, config.local_readwrite) == (None, "/run/b.sock", True)


def test_a_line_at_run_time_adds_to_what_there_is_and_changes_no_interface() -> None:
    config = parse(
        "default rxcost 200\nlocal-port 33123\nkey id k type blake2s128 value 0a\ninterface e0 key k\n"
    )
    for line in (
        "interface e0 rxcost 5",
        "default hello-interval 2",
        "interface e1 key k",
        "key id k type blake2s128 value 0b",
        "link-detect true",
        "log-file /x",
        "smoothing-half-life 8",
    ):
        config = amend(config, line)
    e0, e1 = config.interfaces
    assert (e0.rxcost, e0.hello_interval, e0.keys[0].value) == (200, 4.0, b"\x0b")
    assert (e1.rxcost, e1.hello_interval, e1.keys[0].value) == (200, 2.0, b"\x0b")
    assert (config.link_detect, config.log_file, config.smoothing_half_life) == (True, "/x", 8.0)
    assert (config.local_port, config.keys[0].value) == (33123, b"\x0b")


@pytest.mark.conformance("CF-6")
@pytest.mark.parametrize("kind", ["in", "out", "redistribute", "install"])
def test_filters_cannot_be_changed_at_run_time(kind: str) -> None:
    with pytest.raises(Mistake, match="cannot be changed while the daemon runs"):
        amend(BabeldConfig(), f"{kind} ip 10.0.0.0/8 deny")


def test_every_interface_parameter_is_understood() -> None:
    (interface,) = parse(
        "interface eth0 type wireless link-quality no split-horizon true rxcost 200 hello-interval .5\n"
        "interface eth0 update-interval 10 enable-timestamps true unicast true rfc6126-compatible true\n"
        "interface eth0 rtt-decay 50 rtt-min 20 rtt-max 200.5 max-rtt-penalty 300 v4-via-v6 no\n"
        "interface eth0 accept-bad-signatures true faraway true probe-mtu true\n"
    ).interfaces
    assert (interface.name, interface.kind, interface.link_quality) == ("eth0", "wireless", False)
    assert (interface.split_horizon, interface.rxcost) == (True, 200)
    assert (interface.hello_interval, interface.update_interval) == (0.5, 10.0)
    assert interface.enable_timestamps
    assert interface.unicast
    assert interface.rfc6126_compatible
    assert (interface.rtt_decay, interface.rtt_min, interface.rtt_max) == (50, 0.02, 0.2005)
    assert (interface.max_rtt_penalty, interface.v4_via_v6, interface.probe_mtu) == (300, False, True)
    assert interface.accept_bad_signatures


@pytest.mark.conformance("CF-8")
def test_unset_parameters_come_from_default_and_then_from_babeld() -> None:
    first, second = parse(
        "interface eth0 rxcost 150\n"
        "default rxcost 200 type wired\n"
        "default hello-interval 2\n"
        "interface eth1 hello-interval 1\n"
    ).interfaces
    assert (first.rxcost, first.hello_interval, first.update_interval) == (150, 2.0, 8.0)
    assert (second.rxcost, second.hello_interval, second.update_interval) == (200, 1.0, 4.0)
    assert second.kind == "wired"
    assert second.split_horizon


@pytest.mark.conformance("CF-8")
@pytest.mark.parametrize(
    ("kind", "rxcost", "link_quality", "split_horizon", "timestamps", "penalty"),
    [
        ("auto", 96, False, False, False, 0),
        ("wired", 96, False, True, False, 0),
        ("wireless", 256, True, False, False, 0),
        ("tunnel", 96, False, False, True, 96),
    ],
)
def test_each_type_has_its_built_in_values(
    kind: str, rxcost: int, link_quality: bool, split_horizon: bool, timestamps: bool, penalty: int
) -> None:
    (interface,) = parse(f"interface x type {kind}\n").interfaces
    assert (interface.rxcost, interface.link_quality) == (rxcost, link_quality)
    assert interface.split_horizon is split_horizon
    assert (interface.enable_timestamps, interface.max_rtt_penalty) == (timestamps, penalty)
    assert (interface.rtt_decay, interface.rtt_min, interface.rtt_max) == (42, 0.01, 0.12)


def test_interface_without_a_type_becomes_wireless_when_the_kernel_says_so() -> None:
    (interface,) = parse("interface wlan0\n").interfaces
    found = interface.detected(wireless=True)
    assert (found.kind, found.rxcost, found.link_quality) == ("wireless", 256, True)
    assert interface.detected(wireless=False) == interface


def test_deprecated_wired_is_a_type() -> None:
    interfaces = parse("interface a wired yes\ninterface b wired no\n").interfaces
    assert [interface.kind for interface in interfaces] == ["wired", "wireless"]


def test_rtt_max_stays_above_rtt_min() -> None:
    (interface,) = parse("interface a rtt-min 200\n").interfaces
    assert interface.rtt_max == pytest.approx(0.21)


@pytest.mark.conformance("CF-5")
@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("interfase eth0", '1:1: unknown directive "interfase"; did you mean "interface"?'),
        ("interface", "1:10: expected the name of an interface at the end of the line"),
        ("interface eth0 typ wired", '1:16: unknown interface parameter "typ"; did you mean "type"?'),
        (
            "interface eth0 type wierd",
            '1:21: "wierd" is not wired, wireless, tunnel or auto; did you mean "wired"?',
        ),
        ("interface eth0 rxcost", "1:22: expected an integer 1-65535 at the end of the line"),
        ("interface eth0 rxcost 0", '1:23: "0" is not an integer 1-65535'),
        ("interface eth0 hello-interval 700", '1:31: "700" is not a number of seconds (0.01-655.35)'),
        ("interface a-name-that-is-long", '1:11: "a-name-that-is-long" cannot be the name of an interface'),
        ("random-id maybe", '1:11: "maybe" is not true, false or default'),
        ("random-id true false", '1:16: unexpected "false" after the directive'),
        ("router-id 02:00", '1:11: "02:00" is not a router-id: 8 (or 6) pairs of hex digits with :'),
        ("router-id 00:00:00:00:00:00:00:00", "1:11: a router-id is neither all zero nor all one"),
        ("protocol-group fe80::1", "1:16: the protocol group is an IPv6 multicast address"),
        ('"interface" eth0', "1:1: expected a directive, found a string in quotation marks"),
        ("redistribute proto static", '1:20: "static" is not an integer 0-255'),
        ("redistribute ip", "1:16: expected a prefix at the end of the line"),
        ("redistribute ip 10.0.0.0/40", '1:17: the length after the / of "10.0.0.0/40" must be 0-32'),
        ("redistribute alow", '1:14: unknown selector or action "alow"; did you mean "allow"?'),
        ("interface eth0 key k", '1:20: key "k" is not defined above'),
        ("reopen-logfile", "1:1: reopen-logfile is a request of the local protocol, not a setting"),
        ("interface eth0 rtt-min 0", '1:24: "0" is not a number of milliseconds (0.001-10000)'),
        ("key id k type none", '1:15: "none" is no type of key, expected hmac-sha256 or blake2s128'),
        ("key id k type hmac-sha256", "1:26: a key needs an id, a type and a value; the value is missing"),
        ("key id k value 00ff", "1:16: a key needs an id, a type and a value; the type is missing"),
        ("key type blake2s128 value 00", "1:27: a key needs an id, a type and a value; the id is missing"),
        (
            "key id k type hmac-sha256 value 0",
            "1:33: the value of a key is an even number of hexadecimal digits",
        ),
        ("key id k type hmac-sha256 value", "1:32: expected hexadecimal digits at the end of the line"),
        ("key id k kind x", '1:10: "kind" is not id, type or value; did you mean "id"?'),
        (
            "key id k type blake2s128 value " + "00" * 33,
            "1:32: a key of type blake2s128 has at most 32 octets, this one 33",
        ),
        (
            "key id k type hmac-sha256 value " + "00" * 65,
            "1:33: a key of type hmac-sha256 has at most 64 octets, this one 65",
        ),
    ],
)
def test_mistake_has_its_line_column_and_sentence(line: str, message: str) -> None:
    assert mistakes(line) == [f"babeld.conf:{message}"]


@pytest.mark.conformance("CF-5")
def test_all_mistakes_of_a_file_come_at_once() -> None:
    lines = mistakes("bogus\nrandom-id true\n\nexport-table 0\n")
    assert [line.split(": ")[0] for line in lines] == ["babeld.conf:1:1", "babeld.conf:4:14"]


def test_file_is_read_and_its_absence_is_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "babeld.conf"
    with pytest.raises(ConfigErrors) as caught:
        load_babeld(path)
    assert str(caught.value) == f"{path}: no such file"
    path.write_text("interface eth0\n")
    assert load_babeld(path).interfaces[0].name == "eth0"


def test_interfaces_have_the_keys_they_name() -> None:
    config = parse(
        "key id k1 type hmac-sha256 value 00ff\n"
        "key value 01 type blake2s128 id k2\n"
        "default key k1\n"
        "interface eth0\n"
        "interface eth1 key k2\n"
        "interface eth2 key k1 key k2\n"
        "interface eth3 key k1\ninterface eth3 key k2 key k1\n"
    )
    one, two = MacKey("k1", "hmac-sha256", b"\0\xff"), MacKey("k2", "blake2s128", b"\1")
    assert config.keys == (one, two)
    assert [i.keys for i in config.interfaces] == [(one,), (two,), (one, two), (one, two)]
    assert config.interfaces[0].detected(wireless=True).keys == (one,)


def test_a_key_given_again_replaces_the_first() -> None:
    config = parse(
        "key id k type hmac-sha256 value 00\ninterface eth0 key k\nkey id k type hmac-sha256 value 01\n"
    )
    assert [key.value for key in config.interfaces[0].keys] == [b"\1"]


def test_an_interface_has_at_most_eight_keys() -> None:
    keys = "".join(f"key id k{n} type blake2s128 value 0{n}\n" for n in range(9))
    words = " ".join(f"key k{n}" for n in range(9))
    assert mistakes(f"{keys}interface eth0 {words}") == ["babeld.conf:10:76: an interface has at most 8 keys"]


def test_no_message_repeats_a_secret() -> None:
    for line in ("key id k type hmac-sha256 value 5ec2e", "key id k type x value 5ec2e7", "key value 5ec2e7"):
        (complaint,) = mistakes(line)
        assert "5ec2e" not in complaint


@pytest.mark.conformance("BC-1")
@pytest.mark.parametrize("kind", ["in", "out"])
@pytest.mark.parametrize("metric", ["0", "-1", "-256", "65536"])
def test_filter_that_would_lower_a_metric_is_refused(kind: str, metric: str) -> None:
    (complaint,) = mistakes(f"{kind} ip 10.0.0.0/8 metric {metric}")
    assert complaint.endswith(f'"{metric}" is not an integer 1-65535')


def test_filters_of_each_kind_are_kept_in_order() -> None:
    config = parse("in ip 10.0.0.0/8 deny\nin metric 5\nout if eth0 deny\ninstall table 7\n")
    assert [line.metric for line in config.in_filters] == [65535, 5]
    assert [line.interface for line in config.out_filters] == ["eth0"]
    assert [line.table for line in config.install_filters] == [7]
    assert config.filters == ()


@pytest.mark.conformance("CF-5")
def test_words_of_older_babelds_mean_nothing() -> None:
    config = parse(
        "diversity true\ndiversity 3\ndiversity-factor 256\n"
        "interface eth0 channel 5 channel interfering channel noninterfering\n"
    )
    assert config == replace(BabeldConfig(), interfaces=config.interfaces)
