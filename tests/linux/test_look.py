"""A look at tables is read only where it differs from the one before, and never mixes up two dumps."""

from typing import Any

import pytest

from babelwg.babel.wire.prefix import Prefix
from babelwg.linux import look
from babelwg.linux.errors import KernelError
from babelwg.linux.look import KernelLook
from babelwg.linux.netlink import HEADER, NLMSG_DONE, RTM_NEWROUTE
from babelwg.linux.routes import Route, pack_route

P, Q = Prefix.parse("2001:db8:1::/48"), Prefix.parse("2001:db8:2::/48")


class Kernel:
    """Stands for the request socket: answers dumps of one family with these routes, numbered as asked."""

    def __init__(self) -> None:
        self.routes = [Route(P, 6696, interface=3), Route(Q, 6696, interface=3)]
        self.number = self.opened = self.closed = 0
        self.fails = False

    def __call__(self) -> "Kernel":
        self.opened += 1
        return self

    def restart_numbering(self) -> None:
        self.number = 0

    def close(self) -> None:
        self.closed += 1

    def dump_datagrams(self, kind: int, payload: bytes) -> list[bytes]:
        self.number += 1
        if self.fails:
            raise KernelError("dump", "routes", 105, "no buffer space")
        if payload[0] == 2:
            return []
        told = [self._message(RTM_NEWROUTE, pack_route(route)) for route in self.routes]
        return [b"".join(told), self._message(NLMSG_DONE, bytes(4))]

    def _message(self, kind: int, payload: bytes) -> bytes:
        return HEADER.pack(len(payload) + 16, kind, 2, self.number, 4711) + payload


@pytest.fixture(name="kernel")
def _kernel(monkeypatch: pytest.MonkeyPatch) -> Kernel:
    kernel = Kernel()
    monkeypatch.setattr(look, "RequestSocket", kernel)
    return kernel


def prefixes(seen: Any) -> list[Prefix] | None:
    return None if seen.routes is None else [route.prefix for route in seen.routes]


def test_what_lies_there_as_before_is_not_read_again(kernel: Kernel) -> None:
    looks = KernelLook()
    first = looks.look([6696], None)
    assert prefixes(first) == [P, Q]
    assert looks.look([6696], first.mark) == (first.mark, None)
    assert prefixes(looks.look([6696], b"another mark")) == [P, Q]
    kernel.routes.pop()
    second = looks.look([6696], first.mark)
    assert prefixes(second) == [P] and second.mark != first.mark
    assert kernel.opened == 1
    looks.close()
    looks.close()
    assert kernel.closed == 1


def test_a_look_at_other_tables_is_another_look(kernel: Kernel) -> None:
    kernel.routes = []
    looks = KernelLook()
    assert looks.look([6696], None).mark != looks.look([6697], None).mark
    assert looks.look([6696], None).mark != looks.look([6696, 6697], None).mark


def test_after_a_failure_the_next_look_has_a_new_socket(kernel: Kernel) -> None:
    looks = KernelLook()
    kernel.fails = True
    with pytest.raises(KernelError):
        looks.look([6696], None)
    assert kernel.closed == 1
    kernel.fails = False
    assert prefixes(looks.look([6696], None)) == [P, Q]
    assert kernel.opened == 2
