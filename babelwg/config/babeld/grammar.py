"""The directives of babeld's language: one line, one directive, taken whole or refused."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

from babelwg.babel.wire.mac import MacKey
from babelwg.config.babeld.filter_grammar import read_filter
from babelwg.config.babeld.filters import Filter
from babelwg.config.babeld.key_grammar import read_key
from babelwg.config.babeld.lexer import BOOLEANS, Mistake, Words
from babelwg.config.babeld.model import BabeldConfig, BabelInterface, InterfaceOptions
from babelwg.config.errors import ConfigError, ConfigErrors, did_you_mean, expected, quoted
from babelwg.config.files import read_text
from babelwg.config.keys import MAX_INTERFACE_NAME

Fields = dict[str, Any]
Reader = Callable[[Words], Fields]

MAX_NUMBER = 65534
MAX_SECONDS = 10_000_000  # thousandths
MAX_INTERVAL = 655_350  # thousandths; what 16 bits of centiseconds hold
MIN_INTERVAL = 10  # thousandths
KINDS = ("auto", "default", "wired", "wireless", "tunnel")
FILTERS = ("in", "out", "redistribute", "install")
# What babeld takes while it runs
RUN_TIME = frozenset(
    {
        "interface",
        "default",
        "key",
        "link-detect",
        "log-file",
        "smoothing-half-life",
        "diversity",
        "diversity-factor",
    }
)
MAX_KEYS = 8  # of one interface, so that their MACs leave room in the smallest packet


class Line(NamedTuple):
    """One directive and where it comes from, columns counted from 1.

    The first `added` characters are not written there: what is wrong with them is wrong with what stands at `key`.
    What follows stands at `value`.
    """

    text: str
    file: str
    number: int
    added: int = 0
    key: int = 1
    value: int = 1

    def column_of(self, column: int) -> int:
        """Return where in the file a column of the text is."""
        return self.key if column <= self.added else column - self.added - 1 + self.value


def load_babeld(path: Path) -> BabeldConfig:
    """Return what a file in babeld's language says; ConfigErrors holds every complaint about it."""
    return parse_babeld(read_text(path), str(path))


def parse_babeld(text: str, file: str) -> BabeldConfig:
    """Return what a text in babeld's language says; `file` names it in complaints."""
    return parse_lines(lines_of(text, file))


def lines_of(text: str, file: str) -> list[Line]:
    """Return the lines of a text and where each stands."""
    return [Line(line, file, number) for number, line in enumerate(text.split("\n"), 1)]


def parse_lines(lines: Iterable[Line]) -> BabeldConfig:
    """Return what lines from one or several places say together; ConfigErrors holds every complaint."""
    found = _Findings()
    errors: list[ConfigError] = []
    for line in lines:
        try:
            words = Words(line.text)
            if words.more:
                _read_directive(words, found, f"{line.file}:{line.number}")
        except Mistake as mistake:
            column = line.column_of(mistake.column)
            errors.append(ConfigError(line.file, line.number, str(mistake), column))
    if errors:
        raise ConfigErrors(errors)
    return found.config()


def amend(config: BabeldConfig, line: str) -> BabeldConfig:
    """Return a configuration after a line that babeld takes while it runs. Raises Mistake.

    An interface that is there keeps its parameters, and those of a `default` line are for interfaces to come.
    """
    words = Words(line)
    column = words.column
    if (words.peek() or "") not in RUN_TIME:
        raise Mistake("this cannot be changed while the daemon runs", column)
    found = _Findings(default=config.default, keys={key.id: key for key in config.keys})
    _read_directive(words, found)
    known = {interface.name for interface in config.interfaces}
    said = {name: value for name, value in found.options.items() if value is not None}
    kept = tuple(found.rekeyed(interface) for interface in config.interfaces)
    new = tuple(i for i in found.config().interfaces if i.name not in known)
    return replace(
        config, interfaces=kept + new, keys=tuple(found.keys.values()), default=found.default, **said
    )


@dataclass(slots=True)
class _Findings:
    """What the lines so far have said."""

    options: Fields = field(default_factory=dict)
    default: InterfaceOptions = field(default_factory=InterfaceOptions)
    interfaces: dict[str, InterfaceOptions] = field(default_factory=dict)
    filters: dict[str, list[Filter]] = field(default_factory=lambda: {name: [] for name in FILTERS})
    keys: dict[str, MacKey] = field(default_factory=dict)

    def config(self) -> BabeldConfig:
        said = {name: value for name, value in self.options.items() if value is not None}
        return BabeldConfig(
            interfaces=tuple(self._settle(name, options) for name, options in self.interfaces.items()),
            filters=tuple(self.filters["redistribute"]),
            in_filters=tuple(self.filters["in"]),
            out_filters=tuple(self.filters["out"]),
            install_filters=tuple(self.filters["install"]),
            keys=tuple(self.keys.values()),
            default=self.default,
            **said,
        )

    def rekeyed(self, interface: BabelInterface) -> BabelInterface:
        """Return an interface with its keys as they are now."""
        return replace(interface, keys=tuple(self.keys[key.id] for key in interface.keys))

    def _settle(self, name: str, options: InterfaceOptions) -> BabelInterface:
        options = options.over(self.default)
        return BabelInterface.settle(name, options, tuple(self.keys[key] for key in options.keys or ()))


def _read_directive(words: Words, found: _Findings, place: str = "") -> None:
    column = words.column
    directive = words.word("a directive")
    if directive == "interface":
        name = _interface_name(words)
        known = found.interfaces.get(name, InterfaceOptions())
        found.interfaces[name] = _read_parameters(words, known, found.keys)
    elif directive == "default":
        found.default = _read_parameters(words, found.default, found.keys)
    elif directive == "key":
        key = read_key(words)
        found.keys[key.id] = key
    elif directive in FILTERS:
        found.filters[directive].append(replace(read_filter(words), place=place))
    elif directive == "reopen-logfile":
        raise Mistake("reopen-logfile is a request of the local protocol, not a setting", column)
    elif directive in GLOBALS:
        said = GLOBALS[directive](words)
        words.finish()
        if "import_tables" in said:
            said = {"import_tables": (*found.options.get("import_tables", ()), *said["import_tables"])}
        found.options |= said
    else:
        directives = ("interface", "default", "key", *FILTERS)
        hint = did_you_mean(directive, (*GLOBALS, *directives))
        hint = hint or f", expected {', '.join(directives)} or the name of a setting"
        raise Mistake(f"unknown directive {quoted(directive)}{hint}", column)


def _interface_name(words: Words) -> str:
    column = words.column
    name = words.string("the name of an interface")
    octets = len(name.encode(errors="surrogatepass"))
    if not 1 <= octets <= MAX_INTERFACE_NAME or "/" in name or not name.isprintable() or " " in name:
        raise Mistake(f"{quoted(name)} cannot be the name of an interface", column)
    return name


def _read_parameters(words: Words, known: InterfaceOptions, keys: Mapping[str, MacKey]) -> InterfaceOptions:
    """Return what an interface's line adds to what is known of it."""
    said: Fields = {}
    while words.more:
        column = words.column
        word = words.word("an interface parameter")
        if word == "key":
            # Departs from babeld, which keeps the last one only: with several, keys can be changed without loss.
            said["keys"] = _add_key(words, said.get("keys", known.keys or ()), keys)
        elif word in PARAMETERS:
            said |= PARAMETERS[word](words)
        else:
            hint = expected(word, (*PARAMETERS, "key"))
            raise Mistake(f"unknown interface parameter {quoted(word)}{hint}", column)
    return InterfaceOptions(**said).over(known)


def _add_key(words: Words, ids: tuple[str, ...], keys: Mapping[str, MacKey]) -> tuple[str, ...]:
    column = words.column
    name = words.string("the id of a key")
    if name not in keys:
        raise Mistake(f"key {quoted(name)} is not defined above{did_you_mean(name, keys)}", column)
    if name in ids:
        return ids
    if len(ids) == MAX_KEYS:
        raise Mistake(f"an interface has at most {MAX_KEYS} keys", column)
    return (*ids, name)


def _channel(words: Words) -> Fields:
    """Read what babeld 1.12 used for its diversity metric; it has no meaning any more."""
    if words.peek() in ("interfering", "noninterfering"):
        words.word("a channel")
    else:
        words.integer(1, 255)
    return {}


def _diversity(words: Words) -> Fields:
    """Read how babeld 1.12 weighed channels; it has no meaning any more."""
    if words.peek() in BOOLEANS:
        words.boolean()
    else:
        words.integer(0, 3)
    return {}


def _diversity_factor(words: Words) -> Fields:
    words.integer(0, 256)
    return {}


def _boolean(name: str) -> Reader:
    return lambda words: {name: words.boolean()}


def _integer(name: str, low: int, high: int) -> Reader:
    return lambda words: {name: words.integer(low, high)}


def _string(name: str) -> Reader:
    return lambda words: {name: words.string("a file name")}


def _seconds(name: str, low: int, high: int) -> Reader:
    return lambda words: {name: words.thousandths("a number of seconds", low, high) / 1000}


def _milliseconds(name: str) -> Reader:
    # The words say milliseconds with up to three decimals, the value is in seconds.
    return lambda words: {name: words.thousandths("a number of milliseconds", 1, MAX_SECONDS) / 1_000_000}


def _kind(words: Words) -> Fields:
    word = words.choice("wired, wireless, tunnel or auto", KINDS)
    # As with a boolean, the default of babeld leaves the parameter unsaid.
    return {"kind": None if word in ("auto", "default") else word}


def _wired(words: Words) -> Fields:
    kinds = {True: "wired", False: "wireless", None: None}
    return {"kind": kinds[words.boolean()]}


def _local_port(readwrite: bool) -> Reader:
    # There is one local server, so the last of these directives wins.
    return lambda words: {
        "local_port": words.integer(1, MAX_NUMBER),
        "local_path": None,
        "local_readwrite": readwrite,
    }


def _local_path(readwrite: bool) -> Reader:
    return lambda words: {
        "local_path": words.string("a path"),
        "local_port": None,
        "local_readwrite": readwrite,
    }


def _protocol_group(words: Words) -> Fields:
    column = words.column
    address = words.address()
    if len(address) != 16 or address[0] != 0xFF:
        raise Mistake("the protocol group is an IPv6 multicast address", column)
    return {"protocol_group": address}


def _router_id(words: Words) -> Fields:
    return {"router_id": words.router_id()}


def _import_table(words: Words) -> Fields:
    return {"import_tables": (words.integer(1, MAX_NUMBER),)}


def _shutdown_delay(words: Words) -> Fields:
    return {"shutdown_delay": words.integer(0, MAX_SECONDS) / 1000}


GLOBALS: dict[str, Reader] = {
    "protocol-group": _protocol_group,
    "protocol-port": _integer("protocol_port", 1, MAX_NUMBER),
    "kernel-priority": _integer("kernel_priority", 1, MAX_NUMBER),
    "reflect-kernel-metric": _boolean("reflect_kernel_metric"),
    "allow-duplicates": _integer("allow_duplicates", 1, MAX_NUMBER),
    "random-id": _boolean("random_id"),
    "router-id": _router_id,
    "ipv6-subtrees": _boolean("ipv6_subtrees"),
    "debug": _integer("debug", 0, 1 << 30),
    "local-port": _local_port(False),
    "local-port-readwrite": _local_port(True),
    "local-path": _local_path(False),
    "local-path-readwrite": _local_path(True),
    "export-table": _integer("export_table", 1, MAX_NUMBER),
    "import-table": _import_table,
    "kernel-check-interval": _seconds("kernel_check_interval", 1, MAX_SECONDS),
    "shutdown-delay-ms": _shutdown_delay,
    "link-detect": _boolean("link_detect"),
    "log-file": _string("log_file"),
    "pid-file": _string("pid_file"),
    "state-file": _string("state_file"),
    "smoothing-half-life": _seconds("smoothing_half_life", 0, MAX_SECONDS),
    "daemonise": _boolean("daemonise"),
    "skip-kernel-setup": _boolean("skip_kernel_setup"),
    "diversity": _diversity,
    "diversity-factor": _diversity_factor,
}

PARAMETERS: dict[str, Reader] = {
    "type": _kind,
    "wired": _wired,
    "link-quality": _boolean("link_quality"),
    "split-horizon": _boolean("split_horizon"),
    "rxcost": _integer("rxcost", 1, 65535),
    "hello-interval": _seconds("hello_interval", MIN_INTERVAL, MAX_INTERVAL),
    "update-interval": _seconds("update_interval", MIN_INTERVAL, MAX_INTERVAL),
    "enable-timestamps": _boolean("enable_timestamps"),
    "unicast": _boolean("unicast"),
    "rfc6126-compatible": _boolean("rfc6126_compatible"),
    "rtt-decay": _integer("rtt_decay", 1, 256),
    "rtt-min": _milliseconds("rtt_min"),
    "rtt-max": _milliseconds("rtt_max"),
    "max-rtt-penalty": _integer("max_rtt_penalty", 1, 65535),
    "v4-via-v6": _boolean("v4_via_v6"),
    "probe-mtu": _boolean("probe_mtu"),
    "accept-bad-signatures": _boolean("accept_bad_signatures"),
    "faraway": _boolean("faraway"),
    "channel": _channel,
}
