"""The page in a headless Chromium against a live mesh."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from babelwg.lab.netns.mesh import Mesh
from integration.conftest import needs, skip
from integration.mesh.conftest import topology
from integration.web.browser import Browser

ROOT = Path(__file__).parents[2]
PLAYWRIGHT = ROOT / "build" / "browser" / "node_modules" / "playwright-core"
SHOTS = ROOT / "build" / "screenshots"
pytestmark = pytest.mark.slow  # `make page-test` runs these
URL = "http://127.0.0.1:6698/"
HOSTILE = "<img/src=x/onerror=alert(1)>"
NAMES = "alpha bravo charlie delta echo"
LINKS = "alpha-bravo bravo-charlie alpha-delta charlie-delta charlie-echo"
HOSTS = "fd00:77::3 charlie\nfd00:77::5 echo\n"
OPEN_TO_OTHERS = '[web]\nlisten = "0.0.0.0:6698"\ntoken-file = "web.token"\n'
# What the tests look at, in the browser's own words.
NODES = (
    '[...document.querySelectorAll("#picture .node")].map((g) => g.querySelector("text").textContent).sort()'
)
PATH = '[...document.querySelectorAll("#picture .link.on-path title")].map((t) => t.textContent).sort()'
FOCUS = "(document.activeElement.getAttribute('aria-label') || document.activeElement.id)"
SAID = 'document.getElementById("say").textContent'
ANSWER = 'document.getElementById("answer").textContent'
PEERS = 'document.querySelector("#peers tbody").innerText'
AGE = 'document.getElementById("age").dataset.state'

#    alpha --- bravo
#      |         |       bravo and delta are as good; echo is behind charlie
#    delta --- charlie --- echo


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mesh]:
    needs("chromium", "node")
    if not PLAYWRIGHT.is_dir():
        skip("playwright-core", "not installed, `make page-test` installs it")
    settings = {"babel": "hello-interval = 0.5\n", "web": ""}
    home = tmp_path_factory.mktemp("mesh")
    with Mesh(topology(NAMES, LINKS), home, settings=settings) as mesh:
        config = mesh.home("alpha") / "babelwg.toml"
        config.write_text("[web]\n" + config.read_text())
        config.with_name("hosts").write_text(HOSTS)
        config = mesh.home("delta") / "babelwg.toml"
        config.write_text(OPEN_TO_OTHERS + config.read_text())
        mesh.start()
        mesh.wait("alpha knows all nodes", lambda: len(mesh.ask("alpha", "topology")["nodes"]) == 5)
        names = lambda: sorted(str(node["name"]) for node in mesh.ask("alpha", "topology")["nodes"])  # noqa: E731
        mesh.wait("alpha has names for them", lambda: names() == NAMES.split())
        mesh.wait("all peers of alpha are up", lambda: up(mesh) == ["bravo", "delta"])
        yield mesh


@pytest.fixture(scope="module")
def browser(live: Mesh) -> Iterator[Browser]:
    SHOTS.mkdir(parents=True, exist_ok=True)
    chromium = shutil.which("chromium")
    assert chromium is not None
    made = Browser(live.nodes["alpha"], chromium, PLAYWRIGHT, SHOTS)
    try:
        yield made
    finally:
        made.close()


@pytest.fixture
def page(live: Mesh, browser: Browser) -> "Page":
    return Page(live, browser)


class Page:
    """The page of alpha."""

    def __init__(self, mesh: Mesh, browser: Browser) -> None:
        self.mesh, self.browser = mesh, browser

    def open(self, **options: Any) -> None:
        assert self.browser.open(URL, **options) == 200
        self.until("the page is live", AGE, lambda state: state == "live")

    def __call__(self, expression: str) -> Any:
        return self.browser.evaluate(expression)

    def until(self, what: str, expression: str, holds: Callable[[Any], Any]) -> Any:
        """Wait until what the browser says of an expression holds; return it."""
        values: list[Any] = [None]

        def look() -> bool:
            values[0] = self.browser.evaluate(expression)
            return bool(holds(values[0]))

        self.mesh.wait(what, look)
        return values[0]

    def choose(self, text: str) -> None:
        self('document.getElementById("destination").focus()')
        self('document.getElementById("destination").value = ""')
        self.browser.type(text)
        self.browser.press("Enter")


def login_url(mesh: Mesh, name: str) -> str:
    """Return what `babelwg web` prints on a node."""
    socket = str(mesh.home(name) / "control.sock")
    answer = mesh.nodes[name].run(*mesh.command(), "--socket", socket, "web", "--json")
    return str(json.loads(answer)["data"]["login_url"])


def up(mesh: Mesh) -> list[str]:
    return [peer["name"] for peer in mesh.ask("alpha", "peers") if peer["state"] == "up"]


def test_page_shows_every_node_and_says_what_is_inferred(page: Page) -> None:
    page.open()
    labels = page.until("five nodes are drawn", NODES, lambda found: len(found) == 5)
    assert labels == NAMES.split()
    titles = page('[...document.querySelectorAll("#picture .link title")].map((t) => t.textContent)')
    assert any("alpha – bravo: cost" in title for title in titles)
    assert any("inferred from what neighbours announce" in title for title in titles)
    assert page('document.querySelectorAll("#picture .link.inferred").length') >= 2
    legend = page('document.getElementById("legend").innerText')
    assert "inferred from what neighbours announce, not measured" in legend
    assert "good, cost up to" in legend
    apart = page(
        '[...document.querySelectorAll("#picture .node")].map((g) => g.getBoundingClientRect())'
        ".every((a, i, all) => all.every((b, j) => i === j || Math.hypot(a.x - b.x, a.y - b.y) > 20))"
    )
    assert apart
    assert page('document.querySelectorAll("#peers tbody tr:not(.pad)").length') == 2
    page.until("routes are shown", '[...document.querySelectorAll("#routes td")].length', lambda n: n > 10)
    page.browser.shot("mesh", full=True)
    assert page.browser.complaints() == []


def test_way_to_a_destination_is_highlighted_and_moves_when_a_link_is_cut(page: Page) -> None:
    page.open(width=1160, height=720)
    mesh = page.mesh
    page.choose("echo")
    before = page.until("the way is highlighted", PATH, lambda path: len(path) == 2)
    used = "bravo" if any("alpha – bravo" in title for title in before) else "delta"
    other = "delta" if used == "bravo" else "bravo"
    assert f"via {used}" in page(SAID)
    page.browser.shot("way")
    events = page('document.querySelectorAll("#events li").length')
    mesh.cut("alpha", used)
    try:
        page.until("the way moves", PATH, lambda path: any(f"alpha – {other}" in title for title in path))
        page.until("it is said", SAID, lambda said: f"via {other}" in said and "changed" in said)
        page.until("the cut peer is shown", PEERS, lambda text: "down" in text or "connecting" in text)
        count = 'document.querySelectorAll("#events li").length'
        page.until("events tell of it", count, lambda now: now > events)
        problems = 'document.getElementById("problems").innerText'
        page.until("the problem is named", problems, lambda text: text.startswith(used))
        page.browser.shot("cut", full=True)
    finally:
        mesh.restore("alpha", used)
    mesh.wait("the peer is up again", lambda: up(mesh) == ["bravo", "delta"])
    assert page.browser.complaints() == []


def test_route_is_explained_when_its_row_is_chosen(page: Page) -> None:
    page.open()
    page.until("routes are shown", '[...document.querySelectorAll("#routes td")].length', lambda n: n > 10)
    page('document.getElementById("routes-filter").focus()')
    page.browser.type("10.23.0.5")
    rows = '[...document.querySelectorAll("#routes tbody tr:not(.pad)")].map((r) => r.cells[0].textContent)'
    page.until("the filter holds", rows, lambda found: found and set(found) == {"10.23.0.5/32"})
    page.browser.click("#routes tbody tr:not(.pad)")
    answer = page.until("it is explained", ANSWER, lambda text: "metric" in text and "kernel" in text)
    assert "10.23.0.5/32" in answer
    page.until("its way is highlighted", PATH, lambda path: len(path) == 2)
    page.browser.shot("explained", full=True)
    page.choose("203.0.113.9")
    page.until("there is no way", ANSWER, lambda text: "203.0.113.9" in text or "0.0.0.0/0" in text)
    assert page.browser.complaints() == [] or all("400" in line for line in page.browser.complaints())


def test_page_is_used_by_keyboard_alone(page: Page) -> None:
    page.open()
    page.until("five nodes are drawn", NODES, lambda found: len(found) == 5)
    page.browser.press("Tab")
    assert page("document.activeElement.className") == "skip"
    for _ in range(8):
        page.browser.press("Tab")
        if page("document.activeElement.classList.contains('node')"):
            break
    assert page(FOCUS) == "alpha, this node"
    seen = set()
    for key in ("ArrowRight", "ArrowLeft", "ArrowDown", "ArrowUp") * 2:
        page.browser.press(key)
        assert page("document.activeElement.classList.contains('node')"), key
        seen.add(page(FOCUS))
    assert len(seen) >= 3
    ring = 'getComputedStyle(document.querySelector("#picture .node:focus .ring")).stroke'
    assert page(ring) != "none"
    page.browser.press("Home", "ArrowRight")
    if page(FOCUS) == "alpha, this node":
        page.browser.press("ArrowLeft")
    page.browser.press("Enter")
    page.until("a node is chosen", 'document.querySelectorAll(".node.chosen").length', lambda n: n == 1)
    assert page('document.querySelector("#picture .node.chosen").getAttribute("aria-pressed")') == "true"
    assert "is reached" in page(SAID)
    page.browser.press("Escape")
    assert page('document.querySelectorAll(".node.chosen").length') == 0
    # One stop for the whole picture, then the fields and the tables, each in its turn.
    stops = []
    for _ in range(30):
        page.browser.press("Tab")
        stops.append(page("document.activeElement.id || document.activeElement.tagName"))
    assert stops.index("destination") < stops.index("pause") < stops.index("peers-filter")
    assert stops.count("TR") == 2
    assert not page("document.activeElement.classList.contains('node')")
    page('document.querySelector("#routes tbody tr:not(.pad)").focus()')
    page.browser.press("ArrowDown", "ArrowDown", "Enter")
    page.until("a route is explained", ANSWER, lambda text: "metric" in text)
    assert page('document.activeElement.getAttribute("aria-selected")') == "true"
    assert page.browser.complaints() == []


def test_page_fits_a_phone(page: Page) -> None:
    page.open(width=360, height=740, scheme="dark")
    page.until("five nodes are drawn", NODES, lambda found: len(found) == 5)
    page.choose("echo")
    page.until("the way is highlighted", PATH, lambda path: len(path) == 2)
    assert page("document.documentElement.scrollWidth") == 360
    inside = (
        '[...document.querySelectorAll("#picture .node")].map((g) => g.getBoundingClientRect())'
        ".every((r) => r.left >= -1 && r.right <= 361)"
    )
    assert page(inside)
    page("scrollTo(0, 0)")
    page.browser.shot("phone")
    page.browser.shot("phone-whole", full=True)


def test_page_is_dark_where_its_reader_wants_it_dark(page: Page) -> None:
    grounds = []
    for scheme in ("light", "dark"):
        page.open(scheme=scheme)
        page.until("five nodes are drawn", NODES, lambda found: len(found) == 5)
        grounds.append(page("getComputedStyle(document.body).backgroundColor"))
    assert grounds == ["rgb(255, 255, 255)", "rgb(20, 23, 26)"]
    page.choose("echo")
    page.until("the way is highlighted", PATH, lambda path: len(path) == 2)
    page.browser.shot("dark", full=True)


def test_what_came_from_the_network_is_shown_as_text(page: Page) -> None:
    topology, status, routes = (page.mesh.ask("alpha", name) for name in ("topology", "status", "routes"))
    for node in topology["nodes"]:
        node |= {"name": HOSTILE, "addresses": [HOSTILE], "prefixes": [HOSTILE]}
    status |= {"name": HOSTILE, "problems": [{"subject": HOSTILE, "reason": HOSTILE, "hint": HOSTILE}]}
    for peer in status["peers"]:
        peer |= {"name": HOSTILE, "reason": HOSTILE, "endpoint": HOSTILE, "state": HOSTILE, "path": HOSTILE}
    for route in routes:
        route |= {"prefix": HOSTILE, "origin": HOSTILE, "peer": HOSTILE, "state": HOSTILE}
    records = [{"time": HOSTILE, "seq": 1, "event": HOSTILE, "text": HOSTILE, "cause": HOSTILE}]
    way = routes[0] | {"via": HOSTILE, "words": HOSTILE, "filters": [{"line": HOSTILE, "place": HOSTILE}]}
    explained = {
        "prefix": HOSTILE,
        "answer": HOSTILE,
        "candidates": [way],
        "kernel_words": HOSTILE,
        "route": None,
    }
    answers = {
        "/api/topology": topology,
        "/api/status": status,
        "/api/routes": routes,
        "/api/history": {"records": records},
        "/api/route_explain": explained,
    }
    page.open(answers=answers)
    page.until("five nodes are drawn", NODES, lambda found: found == [HOSTILE[:23] + "…"] * 5)
    page.until("routes are shown", '[...document.querySelectorAll("#routes td")].length', lambda n: n > 10)
    page.browser.click("#routes tbody tr:not(.pad)")
    page.until("it is explained", ANSWER, lambda text: text.count(HOSTILE) >= 4)
    for place in ("node", "problems", "peers", "routes", "events", "answer"):
        assert HOSTILE in page(f'document.getElementById("{place}").textContent'), place
    assert page('document.querySelectorAll("img").length') == 0
    assert page.browser.complaints() == []
    page.browser.shot("hostile", full=True)


def test_ten_thousand_routes_do_not_freeze_the_page(page: Page) -> None:
    first = page.mesh.ask("alpha", "routes")[0]
    routes = [first | {"prefix": f"10.{n >> 8}.{n & 255}.0/24"} for n in range(10_000)]
    page.open(answers={"/api/routes": routes})
    page.until(
        "all are counted",
        'document.getElementById("routes-count").textContent',
        lambda text: text == "10000 routes",
    )
    assert page('document.querySelectorAll("#routes tr").length') < 60
    slow = page(
        """(async () => {
            const box = document.querySelector("#routes .table");
            let longest = 0;
            for (let at = 0; at < 300000; at += 30000) {
                const start = performance.now();
                box.scrollTop = at;
                await new Promise((go) => requestAnimationFrame(() => setTimeout(go)));
                longest = Math.max(longest, performance.now() - start);
            }
            return longest;
        })()"""
    )
    assert slow < 500
    last = '[...document.querySelectorAll("#routes tbody tr:not(.pad)")].at(-1).cells[0].textContent'
    page('document.querySelector("#routes tbody tr:not(.pad)").focus()')
    page.browser.press("End")
    page.until("the end is shown", last, lambda text: text == "10.39.15.0/24")


def test_large_mesh_is_drawn_in_a_moment(page: Page) -> None:
    own = page.mesh.ask("alpha", "topology")
    self, peers = own["nodes"][0], [node for node in own["nodes"] if node["kind"] == "peer"]
    roots = [0, 1]
    for n in range(300):
        roots.append(roots[n // 3])
    far = [
        peers[0]
        | {
            "id": f"n{n}",
            "name": f"node-{n}",
            "kind": "far",
            "metric": 300 + n,
            "via": peers[roots[n + 2]]["id"],
        }
        for n in range(300)
    ]
    ids = [peers[0]["id"], peers[1]["id"], *(node["id"] for node in far)]
    links = [link for link in own["links"] if not link["inferred"]]
    for n, node in enumerate(far):
        links.append(
            links[0]
            | {
                "source": ids[n // 3],
                "target": node["id"],
                "cost": 96 + 3 * n,
                "inferred": True,
                "interface": None,
            }
        )
    page.open(answers={"/api/topology": {"nodes": [self, *peers, *far], "links": links, "omitted": 7}})
    page.until("all nodes are drawn", NODES, lambda found: len(found) == 303)
    page.choose("node-299")
    page.until("the way is highlighted", PATH, lambda path: len(path) >= 5)
    assert "7 more not drawn" in page('document.getElementById("mesh-count").textContent')
    page.browser.shot("large", full=True)
    assert page.browser.complaints() == []


def test_metrics_of_the_page_are_those_of_the_command(page: Page) -> None:
    page.open()
    text = page('fetch("/metrics").then((r) => r.text())')
    assert "# TYPE babelwg_" in text
    assert "babelwg_peers{" in text or "babelwg_peer" in text


def test_other_sites_and_other_names_get_nothing(page: Page) -> None:
    port = page.browser.serve("<!doctype html><title>evil</title>")
    assert page.browser.open(f"http://127.0.0.1:{port}/") == 200
    for path in ("api/status", "api/events", "metrics"):
        read = f'fetch("{URL}{path}").then((r) => r.text()).catch((error) => error.name)'
        assert page(read) == "TypeError"
    post = f'fetch("{URL}api/reload", {{method: "POST", mode: "no-cors", body: "{{}}"}}).catch((error) => error.name)'
    assert page(post) == "TypeError"  # it arrived, was refused, and tells nothing
    script = (
        "new Promise((go) => { const s = document.createElement('script');"
        f" s.src = '{URL}js/main.mjs'; s.onload = () => go('ran'); s.onerror = () => go('refused');"
        " document.head.append(s); })"
    )
    assert page(script) == "refused"
    assert page.browser.open(f"http://evil.example:{URL.split(':')[2]}") == 421
    counters = page.mesh.ask("alpha", "stats")["counters"]
    assert counters["web.refused.host"] >= 1
    assert counters["web.refused.origin"] >= 4


def test_page_says_how_old_it_is_while_the_daemon_is_away_and_comes_back(page: Page) -> None:
    page.open()
    page.until("five nodes are drawn", NODES, lambda found: len(found) == 5)
    page.mesh.stop_daemon("alpha")
    away = 'document.getElementById("away").textContent'
    page.until("the page says so", away, lambda text: "does not answer" in text and "ago" in text)
    assert len(page(NODES)) == 5  # the last picture stays
    page.browser.shot("away")
    page.mesh.start_daemon("alpha")
    page.until("the page is live again", AGE, lambda state: state == "live")
    page.until("the picture is new", 'document.getElementById("away").hidden', lambda hidden: hidden is True)


def test_token_stays_out_of_the_address_and_opens_changes(page: Page) -> None:
    link = login_url(page.mesh, "alpha")
    assert page.browser.open(link) == 200
    page.until("the page is live", AGE, lambda state: state == "live")
    assert page("location.href") == URL
    changed = (
        'fetch("/api/reload", {method: "POST", headers: {"Content-Type": "application/json"%s}, body: "{}"})'
        ".then((r) => r.status)"
    )
    assert page(changed % "") == 401
    token = ', Authorization: "Bearer " + sessionStorage.getItem("babelwg-token")'
    assert page(changed % token) == 200
    button = '#peers button[aria-label="%s bravo"]'
    page.browser.click(button % "down")
    page.browser.click(button % "down")  # the second click says that it is meant
    page.until("bravo is disabled", PEERS, lambda text: "disabled" in text)
    page.browser.click(button % "up")
    page.browser.click(button % "up")
    page.until("bravo is back", PEERS, lambda text: text.count("direct") == 2)


def test_page_for_others_opens_with_the_token_alone_over_the_mesh(page: Page) -> None:
    problems = page.mesh.ask("delta", "status")["problems"]
    assert [problem["hint"] for problem in problems if problem["subject"] == "web"] == ["web"]
    token = login_url(page.mesh, "delta").partition("#token=")[2]
    assert (page.mesh.home("delta") / "web.token").read_text() == f"{token}\n"
    assert page.browser.open("http://10.23.0.4:6698/") == 200
    login = 'document.getElementById("login").hidden'
    page.until("the page asks for the token", login, lambda hidden: hidden is False)
    page('document.getElementById("token").focus()')
    page.browser.type("not-the-token-at-all")
    page.browser.press("Enter")
    age = 'document.getElementById("age").textContent'
    page.until("it stays locked", age, lambda text: text == "locked")
    assert page(NODES) == []
    page('document.getElementById("token").focus()')
    page.browser.type(token)
    page.browser.press("Enter")
    page.until("the page is live", AGE, lambda state: state == "live")
    assert page('document.getElementById("node").textContent') == "delta"
    assert page(login) is True


def test_events_are_paused_and_filtered(page: Page) -> None:
    page.open()
    listed = '[...document.querySelectorAll("#events li")].map((li) => li.textContent)'
    before = page.until("events are listed", listed, lambda found: len(found) > 3)
    page.browser.click("#pause")
    page.mesh.ask("alpha", "peer_restart", peer="bravo")
    page.until("events wait", 'document.getElementById("pause").textContent', lambda text: "(" in text)
    assert page(listed) == before
    page.browser.click("#pause")
    page.until("they are listed", listed, lambda found: len(found) > len(before))
    page('document.getElementById("events-filter").focus()')
    page.browser.type("bravo")
    page.until("the filter holds", listed, lambda found: found and all("bravo" in text for text in found))
    page.mesh.wait("bravo is up again", lambda: up(page.mesh) == ["bravo", "delta"])
