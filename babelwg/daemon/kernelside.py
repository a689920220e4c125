"""What a node sets in its kernel besides tunnels and routes: addresses on lo, policy rules, sysctls."""

import logging
from collections.abc import Awaitable

from babelwg.config import Config
from babelwg.daemon.recorder import Note, silent
from babelwg.linux.errors import KernelError
from babelwg.linux.links import IpRoute, apply_node_addresses, have_node_addresses
from babelwg.linux.netlink import RequestSocket
from babelwg.linux.rules import NODE_PRIORITIES, Rule, apply_rules, desired_rules, read_rules
from babelwg.linux.sysctls import (
    apply_sysctls,
    desired_sysctls,
    reverse_path_sysctls,
    router_advertisement_sysctls,
)

log = logging.getLogger(__name__)


class KernelSide:
    """Keeps addresses, rules and sysctls as the configuration wants them; `errors` says what was refused."""

    def __init__(self, iproute: IpRoute, requests: RequestSocket, table: int) -> None:
        self.errors: dict[str, str] = {}
        self.sysctls = True
        self.note: Note = silent
        self._settings: dict[str, str] = {}  # that we have set
        self._done: dict[str, object] = {}  # what was set, so that setting the same again is a repair
        self.rules: frozenset[Rule] = frozenset()  # those that should be there
        self._iproute = iproute
        self._requests = requests
        self._table = table

    async def apply(self, config: Config) -> None:
        """Bring addresses and rules to what they should be; one that is refused does not hold up the others."""
        # On lo a longer network would make all of it local; only the address itself is this node.
        addresses = [(address.address, 8 * len(address.address)) for address in config.node.addresses]
        rules = desired_rules(self._table, config.tunnels.fwmark)
        await self._attempt("addresses", addresses, self._set_addresses(addresses))
        await self._attempt("rules", rules, self._set_rules(rules))

    async def withdraw(self) -> None:
        """Take addresses and rules away; sysctls stay, since others may rely on them by now."""
        await self._attempt("rules", None, self._set_rules(set()))
        await self._attempt("addresses", None, apply_node_addresses(self._iproute, []))

    def set_node_sysctls(self) -> None:
        """Set what a router needs as a whole."""
        self._set(router_advertisement_sysctls() | reverse_path_sysctls() | desired_sysctls([]))

    def set_tunnel_sysctls(self, interfaces: list[str]) -> None:
        """Set what the interfaces of a mesh need."""
        self._set(desired_sysctls(interfaces))

    def set_new_tunnel_sysctls(self, interfaces: list[str]) -> None:
        """Set what interfaces need that were made just now: nobody else gave them what they begin with."""
        for name in desired_sysctls(interfaces).keys() - desired_sysctls([]).keys():
            self._settings.pop(name, None)
        self.set_tunnel_sysctls(interfaces)

    def _set(self, settings: dict[str, str]) -> None:
        if not self.sysctls:
            return
        changed, failed = apply_sysctls(settings)
        for name, old in changed.items():
            log.info("sysctl-set %s was=%s", name, old)
            if self._settings.get(name) == settings[name]:
                cause = f"another program set it to {old}"
                self.note("sysctl-changed-by-another", f"{name} is set again", cause, setting=name)
        self._settings |= {name: value for name, value in settings.items() if name not in failed}
        for name, reason in failed.items():
            if self.errors.get(name) != reason:
                log.warning("sysctl-refused %s: %s", name, reason)
                self.note("sysctl-refused", f"the kernel refused {name}", reason)
        self.errors = {k: v for k, v in self.errors.items() if k not in settings} | failed

    async def _set_addresses(self, addresses: list[tuple[bytes, int]]) -> int:
        # Nearly always they are there, and to look is much cheaper than to ask for them.
        if have_node_addresses(self._requests, addresses):
            return 0
        return await apply_node_addresses(self._iproute, addresses)

    async def _set_rules(self, rules: set[Rule]) -> int:
        lost = self.rules & rules if "rules" in self._done else frozenset()
        self.rules = frozenset(rules)
        for rule in sorted(lost - read_rules(self._requests, NODE_PRIORITIES)) if lost else ():
            name = f"{rule.priority} (IPv{rule.family})"
            text, cause = f"our rule {name} is set again", "another program removed it"
            self.note("rule-removed-by-another", text, cause, rule=name)
        return apply_rules(self._requests, rules, NODE_PRIORITIES)

    async def _attempt(self, what: str, wanted: object, action: Awaitable[int]) -> None:
        try:
            changed = await action
            self.errors.pop(what, None)
            if changed and wanted and self._done.get(what) == wanted:
                cause = "the kernel did not hold what it should"
                self.note(
                    f"{what}-repaired", f"{changed} {what} of ours were set right", cause, count=changed
                )
            self._done[what] = wanted
        except KernelError as error:
            if self.errors.get(what) != str(error):
                log.error("kernel-refused %s", error)
                self.note("kernel-refused", f"the kernel refused {what}", str(error))
            self.errors[what] = str(error)
