"""What no single key can show: names, keys, interfaces and addresses that collide."""

from babelwg.babel.wire.prefix import Prefix
from babelwg.config.addresses import overlap
from babelwg.config.keys import Key, public_of
from babelwg.config.model import BabelConfig, NodeConfig
from babelwg.config.toml.gateways import DeclaredGateway
from babelwg.config.toml.sections import DeclaredPeer
from babelwg.config.toml.table import Table


def check_addresses(node: NodeConfig, table: Table) -> None:
    """Complain about addresses that overlap and networks that are announced twice."""
    for index, address in enumerate(node.addresses):
        for earlier in node.addresses[:index]:
            if overlap(address.network, earlier.network):
                message = f'"addresses": {address} overlaps with {earlier}'
                table.complain_about_item("addresses", index, message)
    hosts = {address.host for address in node.addresses}
    for index, prefix in enumerate(node.announce):
        if prefix in node.announce[:index]:
            table.complain_about_item("announce", index, f'"announce": {prefix} is there twice')
        elif prefix in hosts:
            message = f'"announce": {prefix} is announced already because it is one of "addresses"'
            table.complain_about_item("announce", index, message)


def check_gateways(node: NodeConfig, gateways: list[DeclaredGateway]) -> None:
    """Complain about prefixes that two gateways, or a gateway and [node], announce."""
    others = {*node.announce, *(address.host for address in node.addresses)}
    for index, declared in enumerate(gateways):
        prefix = declared.gateway.prefix
        first = next((g for g in gateways[:index] if g.gateway.prefix == prefix), None)
        if first is not None:
            declared.table.complain(
                "prefix", f'"prefix": {prefix} is there already ({first.table.place("prefix")})'
            )
        elif prefix in others:
            declared.table.complain(
                "prefix", f'"prefix": {prefix} is announced by [node] whatever a check says'
            )


def check_peers(node: NodeConfig | None, peers: list[DeclaredPeer]) -> None:
    """Complain about peers that share a name, a key or an interface, and about our own key."""
    seen: dict[tuple[str, str], DeclaredPeer] = {}
    own = None if node is None else public_of(node.private_key)
    for declared in peers:
        _check_self(declared, own, node)
        peer = declared.peer
        identity = {"name": peer.name, "public-key": str(peer.public_key), "interface": peer.interface}
        for key, value in identity.items():
            first = seen.setdefault((key, value), declared)
            # Equal names give equal interfaces by themselves, which is one mistake and not two.
            if first is declared or (key == "interface" and first.peer.name == peer.name):
                continue
            message = f'"{key}": {value} is that of peer {first.peer.name} already ({first.table.place(key)})'
            declared.table.complain(key, message)


def check_leaves(node: NodeConfig, peers: list[DeclaredPeer]) -> None:
    """Complain about leaf addresses that another peer or this node has too."""
    own = [*node.announce, *(address.host for address in node.addresses)]
    seen: dict[Prefix, str] = dict.fromkeys(own, "this node")
    for declared in peers:
        for index, prefix in enumerate(declared.peer.leaf_addresses):
            owner = seen.setdefault(prefix, f"peer {declared.peer.name}")
            if owner != f"peer {declared.peer.name}" or prefix in declared.peer.leaf_addresses[:index]:
                message = f'"leaf-addresses": {prefix} is that of {owner} already'
                declared.table.complain_about_item("leaf-addresses", index, message)


def check_interfaces(babel: BabelConfig, peers: list[DeclaredPeer]) -> None:
    """Complain about a tunnel whose interface is also named in babeld's language."""
    others = {interface.name for interface in babel.interfaces}
    for declared in peers:
        if declared.peer.interface in others:
            message = f'"interface": {declared.peer.interface} is named in {babel.config or "[[babel.interface]]"} too'
            declared.table.complain("interface", message)


def _check_self(declared: DeclaredPeer, own: Key | None, node: NodeConfig | None) -> None:
    if own is not None and declared.peer.public_key == own:
        declared.table.complain("public-key", '"public-key": this is the key of this node itself')
    if node is not None and declared.peer.name == node.name:
        declared.table.complain("name", f'"name": {node.name} is the name of this node itself')
