"""What the manual pages say beyond the commands' own help: examples, files, exit codes."""

ABOUT = """
babelwg makes a point-to-point WireGuard tunnel to each peer, speaks Babel (RFC 8966) over the tunnels, measures every
link, and writes the best loop-free routes into the kernel.

The commands ask the running daemon over its control socket. Those that only read may be used by root and by the members
of the group babelwg; those that change something, by root.
"""

EXITS = (
    ("0", "Done, or yes."),
    ("1", "No, not found, or failed."),
    ("2", "The command line was wrong."),
    ("3", "No daemon answers."),
    ("4", "Permission denied."),
    ("5", "The configuration has errors."),
)

FILES = (
    ("/etc/babelwg/babelwg.toml", "The configuration; see babelwg.toml(5)."),
    ("/etc/babelwg/peers.d/*.toml", "More peers, one file for each."),
    ("/etc/babelwg/node.key", "The private key of this node, mode 0600."),
    ("/etc/babelwg/hosts", "Names of far nodes, by router-id."),
    ("/var/lib/babelwg", "What the daemon remembers: router-id, sequence numbers, ports."),
    ("/run/babelwg/control.sock", "The control socket, for root and the group babelwg."),
    ("/run/wireguard/INTERFACE.sock", "A tunnel of the embedded data plane, as wg(8) asks it."),
)

ENVIRONMENT = (
    ("BABELWG_SOCKET", "The daemon's control socket, where --socket does not say."),
    ("NO_COLOR", "Print without colours."),
)

# By command, without `babelwg`: what it is good for, and how.
EXAMPLES: dict[str, tuple[tuple[str, str], ...]] = {
    "": (
        ("A new node, and what its peers need to know of it:", "babelwg init --name alpha"),
        ("Its state, once it runs:", "systemctl start babelwg\nbabelwg status"),
    ),
    "status": (("For a script:", "babelwg status --json"),),
    "show": (("All routes to one network, every column:", "babelwg show routes 10.23.0.0/16 --wide"),),
    "route": (("The way of one packet:", "babelwg route get 10.23.0.7"),),
    "route get": (
        ("The way of a packet:", "babelwg route get 10.23.0.7"),
        ("That of one from another source:", "babelwg route get 2001:db8::1 from 2001:db8:a::7"),
    ),
    "route explain": (("Why a network is reached as it is:", "babelwg route explain 10.23.0.0/16"),),
    "topology": (("A picture of the mesh:", "babelwg topology --format dot | dot -Tsvg > mesh.svg"),),
    "history": (
        ("What happened to a peer in the last ten minutes:", "babelwg history bravo --since 10m"),
        ("Which routes change most:", "babelwg history --flaps"),
    ),
    "monitor": (("Everything from now on, for a script:", "babelwg monitor --json"),),
    "peer": (
        (
            "A peer more, and one less:",
            "babelwg peer add bravo --public-key KEY\nbabelwg peer remove charlie",
        ),
    ),
    "peer set": (
        (
            "Another endpoint, and no keepalives:",
            "babelwg peer set bravo endpoint=[2001:db8::7]:51820 keepalive=",
        ),
    ),
    "import": (("A tunnel of wg-quick:", "babelwg import /etc/wireguard/wg0.conf"),),
    "export": (
        (
            "A phone, by its camera:",
            "babelwg export phone --wg-quick --qr --endpoint alpha.example.net --address 10.23.9.1/32",
        ),
    ),
    "metrics": (
        (
            "For node_exporter, every minute by cron:",
            "babelwg metrics --textfile /var/lib/prometheus/node-exporter/babelwg.prom",
        ),
    ),
    "web": (("The picture of the mesh in a browser:", "babelwg web"),),
    "init": (("A first configuration:", "babelwg init --name alpha"),),
    "check-config": (("Before a reload:", "babelwg check-config && babelwg reload"),),
    "daemon": (
        ("By hand, in the foreground:", "babelwg daemon --log-level debug"),
        ("In the place of babeld:", "babelwg daemon --babeld-conf /etc/babeld.conf"),
    ),
    "stop": (("Leave the mesh, and no trace:", "babelwg stop --withdraw"),),
    "genpsk": (("A key for two peers:", "umask 077; babelwg genpsk > /etc/babelwg/bravo.psk"),),
    "genkey": (
        ("A key and its public half:", "umask 077; babelwg genkey > node.key; babelwg pubkey < node.key"),
    ),
    "man": (("For everybody:", "babelwg man --output /usr/local/share/man"),),
}

TOML_ABOUT = """
A file in TOML, /etc/babelwg/babelwg.toml by default. `babelwg init` writes a first one, `babelwg check-config` tells
everything that is wrong with it, `babelwg config show` prints every setting with the value that holds, and
`babelwg reload` applies a change to the running node without touching what did not change. An unknown key is an error.

Peers stand in [[peer]] tables, or each in a file of its own in the directory peers.d beside this one. Relative paths
are relative to the file that names them.
"""

TOML_EXAMPLE = """\
[node]
name = "alpha"
private-key-file = "node.key"
addresses = ["fd5a:8c21:77::1/128", "10.23.0.1/32"]
announce = ["10.23.1.0/24"]

[tunnels]
listen-port = 51820

[[peer]]
name = "bravo"
public-key = "DKw6SWn21s/ZDwqWKzvLRAPOQRoV8Ktjv9ATpuRjYUg="
endpoint = "bravo.example.net:51820"
keepalive = 25
"""
