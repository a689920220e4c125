"""What monitoring clients are told, in which order: every line fits what they know."""

import pytest

from babelwg.babel.routeview import RouteState, RouteView
from babelwg.babel.wire.prefix import Prefix
from babelwg.daemon.local.view import View
from integration.reader import Picture
from tests.daemon.localbench import A, interface, neighbour, route

P = Prefix.parse("2001:db8::/32")
UP = {"e0": interface("fe80::a")}


def path(via: str, state: RouteState = "feasible", metric: int = 96, name: str = "e0") -> RouteView:
    return route(str(P), A, metric, min(metric, 65535), via, name)._replace(state=state)


def short(lines: list[str]) -> list[str]:
    """Return kind of line and kind of entry, with the metric and the use of a route."""
    words = [line.split() for line in lines]
    return [" ".join([*w[:2], *(w[8:9] + w[12:13] if w[1] == "route" else [])]) for w in words]


@pytest.mark.conformance("LP-12")
def test_route_in_use_is_added_as_unused_and_then_changed() -> None:
    view = View()
    assert short(view.set_routes(P, [path("fe80::1", "selected")], False)) == [
        "add route no 96",
        "change route yes 96",
    ]
    assert short(view.set_routes(P, [path("fe80::2")], False)) == [
        "change route no 96",
        "flush route no 96",
        "add route no 96",
    ]


@pytest.mark.conformance("LP-8", "LP-10", "LP-16")
def test_only_what_differs_is_told_and_then_whole() -> None:
    view, picture = View(), Picture()
    both = [path("fe80::1", "selected"), path("fe80::2", metric=192)]
    for line in view.set_routes(P, both, False):
        picture.take(line)
    assert view.set_routes(P, both, False) == []
    lines = view.set_routes(P, [both[0], both[1]._replace(metric=200)], False)
    assert short(lines) == ["change route no 200"]
    for line in [*lines, *view.set_routes(P, [], False)]:
        picture.take(line)
    assert picture.entries == {}
    assert view.lines() == []


def test_one_retracted_route_of_a_held_prefix_is_told_as_installed() -> None:
    view = View()
    gone = [path("fe80::1", "retracted", 65535), path("fe80::2", "retracted", 65535)]
    lines = view.set_routes(P, gone, True)
    assert short(lines) == ["add route no 65535", "change route yes 65535", "add route no 65535"]
    assert short(view.set_routes(P, gone, False)) == ["change route no 65535"]


@pytest.mark.conformance("LP-9")
def test_what_goes_takes_its_leave_from_the_inside_out() -> None:
    view, picture = View(), Picture()
    near = [neighbour("fe80::1", "e0")]
    told = view.add_links(UP, near) + view.set_xroutes({P: 0})
    told += view.set_routes(P, [path("fe80::1", "selected")], False)
    assert short(told) == [
        "add interface",
        "add neighbour",
        "add xroute",
        "add route no 96",
        "change route yes 96",
    ]
    left = view.add_links({"e0": None}, []) + view.set_routes(P, [], False)
    left += view.drop_links({"e0": None}, [])
    assert short(left) == ["change route no 96", "flush route no 96", "flush neighbour", "change interface"]
    gone = view.drop_links({}, []) + view.set_xroutes({})
    assert short(gone) == ["flush interface", "flush xroute"]
    for line in told + left + gone:
        picture.take(line)
    assert picture.entries == {}


def test_interface_that_goes_while_it_is_up_is_told_to_be_down_first() -> None:
    view = View()
    view.add_links(UP, [])
    assert view.drop_links({}, []) == ["change interface e0 up false", "flush interface e0 up false"]


def test_changed_address_and_metric_are_told() -> None:
    view = View()
    view.add_links(UP, [])
    assert view.add_links({"e0": interface("fe80::a", "10.1.0.2")}, []) == [
        "change interface e0 up true ipv6 fe80::a ipv4 10.1.0.2"
    ]
    view.set_xroutes({P: 0})
    assert view.set_xroutes({P: 5}) == [
        "change xroute 2001:db8::/32-::/0 prefix 2001:db8::/32 from ::/0 metric 5"
    ]


def test_id_lasts_for_the_life_of_an_entry_and_beyond() -> None:
    first, second = View(), View()
    lines = first.add_links(UP, [neighbour("fe80::1", "e0")])
    assert second.add_links(UP, [neighbour("fe80::1", "e0")]) == lines
    changed = first.add_links(UP, [neighbour("fe80::1", "e0", reach=1)])
    assert changed[0].split()[2] == lines[1].split()[2]
