"""Who reaches what, kept true by each change alone: in a large network a look at all of it would take too long."""

from collections.abc import Iterable

from babelwg.babel.wire.prefix import Prefix
from babelwg.lab.checks import CheckedNetwork, CheckedNode, find_loop


class Reach:
    """The nodes from which packets for each prefix arrive, and those from which they should.

    They should from each running node with a way of running nodes and whole links to a running one that announces the
    prefix. Tell it of each change: of a forwarding table (`observe`), of a link or a node (`note`).
    """

    def __init__(self, net: CheckedNetwork, prefixes: Iterable[Prefix]) -> None:
        self.missing = 0  # pairs of a node and a prefix: packets should arrive and do not
        self._net = net
        self._via: dict[Prefix, dict[str, str | None]] = {prefix: {} for prefix in prefixes}
        self._users: dict[Prefix, dict[str, set[str]]] = {prefix: {} for prefix in self._via}  # of a next hop
        self._reached: dict[Prefix, set[str]] = {prefix: set() for prefix in self._via}
        self._wanted: dict[Prefix, frozenset[str]] = {}
        self._count()
        for prefix in self._via:
            for node in net.nodes.values():
                self.observe(net, node, prefix)

    def reached(self, prefix: Prefix) -> frozenset[str]:
        """Return the nodes from which packets for a prefix arrive."""
        return frozenset(self._reached[prefix])

    def lost(self, prefix: Prefix) -> frozenset[str]:
        """Return the nodes from which packets for a prefix do not arrive though they should."""
        return self._wanted[prefix] - self._reached[prefix]

    def observe(self, net: CheckedNetwork, node: CheckedNode, prefix: Prefix) -> None:
        """Follow a change of a forwarding table, or of what a node announces."""
        del net
        if (users := self._users.get(prefix)) is None:
            return
        entry, name = node.fib.get(prefix), node.name
        via = None if entry is None or prefix in node.xroutes else entry.via
        if (former := self._via[prefix].get(name)) != via:
            if former is not None:
                users[former].discard(name)
            if via is not None:
                users.setdefault(via, set()).add(name)
            self._via[prefix][name] = via
        self._judge(prefix, name)
        if name in self._net.origins.get(prefix, ()):
            self._want(prefix)

    def note(self, subject: tuple[str, ...]) -> None:
        """Follow what became of a link, named by its two ends, or of a node."""
        if len(subject) == 2:
            for name, peer in (subject, subject[::-1]):
                for prefix, ways in self._via.items():
                    if ways.get(name) == peer:
                        self._judge(prefix, name)
        self._count()

    def _judge(self, prefix: Prefix, name: str) -> None:
        """Find out whether packets from a node arrive, and tell all that send theirs through it."""
        arrives = self._arrives(prefix, name)
        reached, wanted = self._reached[prefix], self._wanted[prefix]
        todo = [name] if (name in reached) != arrives else []
        while todo:
            at = todo.pop()
            (reached.add if arrives else reached.discard)(at)
            if at in wanted:
                self.missing += -1 if arrives else 1
            for user in self._users[prefix].get(at, ()):
                if (user in reached) != arrives and (not arrives or self._net.link(user, at).up):
                    todo.append(user)

    def _arrives(self, prefix: Prefix, name: str) -> bool:
        if prefix in self._net.nodes[name].xroutes:
            return True
        via = self._via[prefix].get(name)
        if via is None or via not in self._reached[prefix] or not self._net.link(name, via).up:
            return False
        return find_loop(self._net, name, prefix) is None

    def _count(self) -> None:
        """Find out anew from where packets should arrive."""
        self._part = _parts(self._net)
        for prefix in self._via:
            self._want(prefix)
        self.missing = sum(len(self.lost(prefix)) for prefix in self._via)

    def _want(self, prefix: Prefix) -> None:
        """Find out anew from where packets for a prefix should arrive."""
        before = len(self.lost(prefix)) if prefix in self._wanted else 0
        origins = [n for n in self._net.origins.get(prefix, ()) if prefix in self._net.nodes[n].xroutes]
        self._wanted[prefix] = frozenset().union(*(self._part.get(name, ()) for name in origins))
        self.missing += len(self.lost(prefix)) - before


def _parts(net: CheckedNetwork) -> dict[str, frozenset[str]]:
    """Return for each running node all that have a way of running nodes and whole links to it."""
    parts: dict[str, frozenset[str]] = {}
    for start, node in net.nodes.items():
        if start in parts or not node.running:
            continue
        found, todo = {start}, [start]
        while todo:
            name = todo.pop()
            for peer in net.nodes[name].interfaces:
                if peer not in found and net.nodes[peer].running and net.link(name, peer).up:
                    found.add(peer)
                    todo.append(peer)
        parts |= dict.fromkeys(found, frozenset(found))
    return parts
