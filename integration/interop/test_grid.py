"""A grid of nine with three daemons in turn: everybody reaches everybody, also around a dead centre."""

import pytest

from integration.interop.net import Net

pytestmark = [pytest.mark.interop, pytest.mark.timeout(900)]

KINDS = ("babelwg", "babeld", "bird")
#   a --- b --- c
#   |     |     |
#   d --- e --- f
#   |     |     |
#   g --- h --- i
NAMES = "abcdefghi"
CENTRE = "e"
LIMIT = 180.0  # seconds; nine daemons share the machine


def grid(net: Net, shift: int) -> Net:
    """Build and start a grid in which no row and no column has a kind twice; `shift` chooses that of the centre."""
    for number, name in enumerate(NAMES):
        row, column = divmod(number, 3)
        net.add(name, KINDS[(column - row + shift) % 3])
    for number, name in enumerate(NAMES):
        if number % 3 < 2:
            net.link(name, NAMES[number + 1])
        if number < 6:
            net.link(name, NAMES[number + 3])
    net.start()
    return net


@pytest.mark.parametrize("shift", range(3), ids=[f"centre-{kind}" for kind in KINDS])
def test_everybody_reaches_everybody_around_a_dead_centre_and_through_a_new_one(net: Net, shift: int) -> None:
    grid(net, shift)
    assert net[CENTRE].kind == KINDS[shift]
    net.wait("every kernel has every address", net.converged, LIMIT)
    net.wait("every ping gets through", net.forwards)
    net[CENTRE].kill()
    net.wait("no kernel goes by the centre", lambda: net.converged(without={CENTRE}), LIMIT)
    net.wait("every ping gets through around it", lambda: net.forwards(without={CENTRE}))
    net[CENTRE].start()
    net.wait("every kernel has every address again", net.converged, LIMIT)
    net.wait("every ping gets through again", net.forwards)
