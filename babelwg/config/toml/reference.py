"""Every key of the TOML file in words: its type, its default and what it means; babelwg.toml(5) is made of it."""

from typing import NamedTuple

from babelwg.config.babeld import model as babeld
from babelwg.config.model import (
    CHECK_FALL,
    CHECK_INTERVAL,
    CHECK_RISE,
    CHECK_TIMEOUT,
    DEAD_AFTER,
    DEFAULT_FWMARK,
    DEFAULT_MTU,
    DEFAULT_PORT,
    DEFAULT_TABLE,
    DEFAULT_WEB,
    HELLO_INTERVAL,
    HISTORY,
)

REQUIRED = "required"
_LINES = "list of lines"


class Key(NamedTuple):
    """One key; `default` None where leaving it out means that there is none."""

    name: str
    type: str
    default: str | None
    meaning: str


class Section(NamedTuple):
    """One table, written `[name]` or `[[name]]`, and its keys."""

    name: str
    repeats: bool
    meaning: str
    keys: tuple[Key, ...]

    @property
    def heading(self) -> str:
        """Return the line that begins the table."""
        return f"[[{self.name}]]" if self.repeats else f"[{self.name}]"


NODE = (
    Key("name", "string", REQUIRED, "The name of this node: 1-63 characters of a-z, 0-9 and -."),
    Key("private-key-file", "path", REQUIRED, "A file of mode 0600 with the key, as `wg genkey` writes it."),
    Key("addresses", "list of addresses", "[]", "Addresses of this node: put on lo, and announced."),
    Key(
        "announce",
        "list of prefixes",
        "[]",
        'Networks behind this node, announced with metric 0; "::/0 from 2001:db8::/48" for packets from there only.',
    ),
    Key("sysctls", "boolean", "true", "Whether to set what a router needs under /proc/sys/net."),
    Key(
        "history",
        "integer",
        f"{HISTORY}",
        "How many records of what happened are kept in memory, 100-100000.",
    ),
    Key(
        "history-file", "path", None, "Where they are written too, as JSON lines; two files of 8 MiB at most."
    ),
    Key(
        "leaf-networks",
        "list",
        "[]",
        "Networks out of which `babelwg export` gives each device without Babel an address.",
    ),
)

TUNNELS = (
    Key(
        "backend",
        "string",
        '"auto"',
        '"kernel", "embedded", or a userspace WireGuard such as "wireguard-go", by name or path; '
        '"auto" is the kernel\'s where it works, else the embedded one.',
    ),
    Key("listen-port", "integer", f"{DEFAULT_PORT}", "The UDP port of the first tunnel."),
    Key("mtu", "octets", f"{DEFAULT_MTU}", "The MTU of all tunnels, 1280 or more."),
    Key("fwmark", "integer", f"0x{DEFAULT_FWMARK:x}", "The mark of WireGuard's own packets."),
)

BABEL = (
    Key("config", "path", None, "A file in babeld's language, read before the keys below."),
    Key("hello-interval", "seconds", f"{HELLO_INTERVAL:g}", "Between Hellos on tunnels."),
    Key(
        "update-interval",
        "seconds",
        f"{babeld.UPDATE_FACTOR} Hello intervals",
        "Between full updates on tunnels.",
    ),
    Key(
        "dead-after",
        "seconds",
        f"{DEAD_AFTER:g}",
        "After so much silence, in which probes stay without an answer, a tunnel in use is left; "
        "at least, since slow links get more. 0: missed Hellos alone tell.",
    ),
    Key("table", "integer", f"{DEFAULT_TABLE}", 'The kernel table for learned routes, or "main".'),
    Key("override", "list of prefixes", "[]", "Where a learned route wins over an equal one in table main."),
    Key(
        "in", _LINES, "[]", "Filters of what neighbours announce, in babeld's language without the word `in`."
    ),
    Key("out", _LINES, "[]", "Filters of what is announced to neighbours."),
    Key("redistribute", _LINES, "[]", "Routes and addresses of this host that are announced."),
    Key("install", _LINES, "[]", "Filters of what goes into the kernel."),
    Key("import-table", "integer or list", "[254]", "The kernel tables that `redistribute` looks at."),
    Key("protocol-port", "integer", "6696", "The UDP port of Babel."),
    Key("protocol-group", "address", '"ff02::1:6"', "The multicast group of Babel."),
    Key("router-id", "string", "drawn once", "The router-id, as 8 octets with colons."),
    Key("random-id", "boolean", "false", "Whether to draw a new router-id at each start."),
    Key(
        "reflect-kernel-metric",
        "boolean",
        "false",
        "Whether the metric shows in the priority of kernel routes.",
    ),
    Key("link-detect", "boolean", "false", "Whether an interface without carrier counts as down."),
    Key("ipv6-subtrees", "boolean", "as the kernel can", "Whether source-specific IPv6 routes use subtrees."),
    Key(
        "kernel-check-interval", "seconds", "300", "Between comparisons with the kernel; never more than 30."
    ),
    Key("shutdown-delay-ms", "milliseconds", "50", "For the last retractions to leave."),
    Key(
        "smoothing-half-life",
        "seconds",
        f"{babeld.SMOOTHING_HALF_LIFE:g}",
        "Half-life of the smoothed metric.",
    ),
    Key(
        "allow-duplicates",
        "integer",
        None,
        "The metric from which a duplicate of our own prefix is believed.",
    ),
    Key("local-port", "integer", None, "A TCP port on ::1 for babeld's local protocol, for reading only."),
    Key("local-port-readwrite", "integer", None, "The same, and it may change things."),
    Key("local-path", "path", None, "A Unix socket for babeld's local protocol, for reading only."),
    Key("local-path-readwrite", "path", None, "The same, and it may change things."),
    Key("local-readwrite", "boolean", "false", "Whether local-port and local-path stand for these."),
)

MAC_KEY = (
    Key("id", "string", REQUIRED, "The name of the key."),
    Key("type", "string", REQUIRED, '"blake2s128" or "hmac-sha256".'),
    Key("value", "string", None, "The key in hexadecimal; either this or value-file."),
    Key("value-file", "path", None, "A file of mode 0600 with it; `babelwg genmackey` writes one."),
)

INTERFACE = (
    Key("name", "string", REQUIRED, "The interface, or a pattern with *, ? or [ for several."),
    Key(
        "keys",
        "list of strings",
        "[]",
        "The ids of the keys that sign its packets (RFC 8967); any of them is believed.",
    ),
    Key("key", "string", None, "The same for a single key."),
    Key("type", "string", '"auto"', '"wired", "wireless", "tunnel" or "auto".'),
    Key("wired", "boolean", None, 'The older way to say type "wired" or "wireless".'),
    Key("link-quality", "boolean", "true on wireless", "Whether the cost follows from loss."),
    Key(
        "split-horizon", "boolean", "true on wired", "Whether routes are not announced where they came from."
    ),
    Key(
        "rxcost",
        "integer",
        f"{babeld.WIRED_COST}",
        f"The cost of receiving without loss; {babeld.WIRELESS_COST} on wireless where it is not said.",
    ),
    Key("hello-interval", "seconds", f"{babeld.HELLO_INTERVAL:g}", "Between Hellos."),
    Key("update-interval", "seconds", f"{babeld.UPDATE_FACTOR} Hello intervals", "Between full updates."),
    Key("enable-timestamps", "boolean", "true on tunnel", "Whether to measure the delay (RFC 9616)."),
    Key("unicast", "boolean", "false", "Whether to send to each neighbour alone."),
    Key("rfc6126-compatible", "boolean", "false", "Whether to avoid what older Babel does not know."),
    Key("rtt-decay", "integer", f"{babeld.RTT_DECAY}", "The weight of a new sample of the delay, of 256."),
    Key("rtt-min", "milliseconds", f"{babeld.RTT_MIN * 1000:g}", "Up to here a delay costs nothing."),
    Key("rtt-max", "milliseconds", f"{babeld.RTT_MAX * 1000:g}", "From here on it costs the most."),
    Key(
        "max-rtt-penalty",
        "integer",
        f"{babeld.TUNNEL_RTT_PENALTY} on tunnel, else 0",
        "The most that a delay costs.",
    ),
    Key(
        "v4-via-v6", "boolean", "as the kernel can", "Whether IPv4 routes may have IPv6 next hops (RFC 9229)."
    ),
    Key("probe-mtu", "boolean", "false", "Whether links that lose large packets are to be left."),
    Key(
        "accept-bad-signatures",
        "boolean",
        "false",
        "Whether to believe unsigned packets while keys are introduced.",
    ),
    Key("faraway", "boolean", "false", "Taken as babeld takes it, and without effect."),
    Key("channel", "integer", None, "Of babeld 1.12; without effect."),
)

PEER = (
    Key("name", "string", REQUIRED, "The name of the peer."),
    Key("public-key", "string", REQUIRED, "Its public key, as its `babelwg init` printed it."),
    Key("endpoint", "string or list", "[]", "HOST:PORT where it is reached; one of the two sides needs it."),
    Key(
        "preshared-key-file",
        "path",
        None,
        "A file of mode 0600 with a key that both share; `babelwg genpsk` writes one. A change ends the session at"
        " once, and the next one needs the new key on both sides.",
    ),
    Key("keepalive", "seconds", "0", "Between keepalives, for a side behind NAT; 0 for none."),
    Key("cost", "integer", "0", "Added to the cost that is measured."),
    Key("interface", "string", "bw-NAME", "The name of the tunnel."),
    Key("backend", "string", "that of [tunnels]", "The back end of this tunnel."),
    Key(
        "leaf-addresses",
        "list",
        "[]",
        "Addresses or networks of a peer without Babel, such as a phone; this node announces them.",
    ),
)

GATEWAY = (
    Key("prefix", "prefix", REQUIRED, "What is announced while the checks hold."),
    Key("from", "prefix", None, "Only for packets from there."),
    Key("metric", "integer", "0", "The metric that is announced."),
    Key("interface", "string", None, "The uplink that the checks go out by."),
    Key("interval", "seconds", f"{CHECK_INTERVAL:g}", "Between two results of a check."),
    Key("timeout", "seconds", f"{CHECK_TIMEOUT:g}", "For a result; not more than the interval."),
    Key("fall", "integer", f"{CHECK_FALL}", "Failures in a row until a check fails."),
    Key("rise", "integer", f"{CHECK_RISE}", "Successes in a row until it holds."),
    Key("require", "string", '"all"', '"all" checks must hold, or "any" of them.'),
)

CHECK = (
    Key("ping", "address", None, "Holds when it answers an ICMP echo."),
    Key("tcp", "string", None, "HOST:PORT; holds when it takes a connection."),
    Key("http", "URL", None, "Holds when the answer has `status`."),
    Key("status", "integer", "200-399", "What `http` must answer."),
    Key("dns", "string", None, "A name; holds when a server answers for it without an error."),
    Key("server", "address", "the system's", "The server that `dns` asks."),
    Key(
        "command",
        "list of strings",
        None,
        "A program by its path, and its arguments; holds when it ends with 0.",
    ),
)

WEB = (
    Key(
        "listen",
        "string",
        f'"{DEFAULT_WEB}"',
        "Where the page is served: ADDRESS:PORT, or the path of a Unix socket.",
    ),
    Key(
        "token-file",
        "path",
        None,
        "A file of mode 0600 with the token; required where others than this host are served.",
    ),
    Key("hosts", "list of strings", "[]", "Names besides the address under which browsers ask for the page."),
)

SECTIONS = (
    Section("node", False, "Who this node is.", NODE),
    Section("tunnels", False, "What all tunnels share.", TUNNELS),
    Section("peer", True, "One for each peer, here or in a file of peers.d/.", PEER),
    Section("babel", False, "Routing; the names are those of babeld's language.", BABEL),
    Section("babel.key", True, "A key for interfaces that are not tunnels.", MAC_KEY),
    Section("babel.interface", True, "An interface besides the tunnels on which Babel runs.", INTERFACE),
    Section("gateway", True, "A prefix that is announced while checks hold.", GATEWAY),
    Section("gateway.check", True, "One check; it has one of ping, tcp, http, dns and command.", CHECK),
    Section("web", False, "The page in a browser; without this table none is served.", WEB),
)
