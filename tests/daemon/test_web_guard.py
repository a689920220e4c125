"""Who may ask the page: host names, other sites, tokens, rates."""

import pytest

from babelwg.config import Listen
from babelwg.daemon.web.guard import (
    CONTENT_POLICY,
    MAX_ADDRESSES,
    REQUEST_BURST,
    Rates,
    host_refusal,
    site_refusal,
    token_refusal,
)

LOOPBACK = Listen("127.0.0.1", 6698)
ANYWHERE = Listen("0.0.0.0", 6698)
HOST = "127.0.0.1:6698"


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1:6698", "localhost:8000", "LOCALHOST", "[::1]:6698", "127.0.0.1", "mesh.example.net:6698"],
)
def test_page_answers_to_its_own_names_on_any_port(host: str) -> None:
    assert host_refusal(host, LOOPBACK, ("mesh.example.net",)) is None


@pytest.mark.parametrize(
    "host",
    [
        "",
        "evil.example",
        "evil.example:6698",
        "localhost.evil.example",
        "evil.example#localhost",
        "evil.example/localhost",
        "localhost@evil.example",
        "evil.example@localhost",
        "192.0.2.1",
        "[::1",
        "localhost:99999999",
        "127.0.0.1.nip.io",
        "2130706433",
    ],
)
def test_page_refuses_names_that_others_may_point_at_it(host: str) -> None:
    refusal = host_refusal(host, LOOPBACK, ("mesh.example.net",))
    assert refusal is not None
    assert (refusal.status, refusal.reason) == (421, "host")


def test_page_on_all_addresses_answers_to_addresses_and_to_no_other_names() -> None:
    assert host_refusal("192.0.2.7:6698", ANYWHERE, ()) is None
    assert host_refusal("[2001:db8::7]:6698", ANYWHERE, ()) is None
    assert host_refusal("evil.example", ANYWHERE, ()) is not None


def test_requests_of_the_page_itself_and_of_programs_are_answered() -> None:
    assert site_refusal({}, HOST, False) is None
    assert site_refusal({"Origin": f"http://{HOST}", "Sec-Fetch-Site": "same-origin"}, HOST, False) is None
    assert site_refusal({"Origin": "https://mesh.example.net"}, "mesh.example.net", False) is None
    assert site_refusal({"Sec-Fetch-Site": "none"}, HOST, True) is None


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:9999"},
        {"Origin": "http://127.0.0.1:6698.evil.example"},
        {"Origin": ""},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "tomorrows-word"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"},
    ],
)
def test_requests_of_other_sites_are_refused(headers: dict[str, str]) -> None:
    refusal = site_refusal(headers, HOST, False)
    assert refusal is not None
    assert (refusal.status, refusal.reason) == (403, "origin")


def test_a_link_on_another_site_may_lead_to_the_page_and_not_into_a_frame() -> None:
    follows = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    assert site_refusal(follows, HOST, True) is None
    assert site_refusal({**follows, "Sec-Fetch-Dest": "iframe"}, HOST, True) is not None


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ("Bearer right-right-right", None),
        ("bearer right-right-right", None),
        ("Bearer wrong", "token-wrong"),
        ("Bearer right-right-righ", "token-wrong"),
        ("Bearer r\u00e4ght", "token-wrong"),
        ("Basic right-right-right", "token-wrong"),
        ("Bearer ", "token-missing"),
        ("right-right-right", "token-missing"),
        ("", "token-missing"),
    ],
)
def test_only_the_right_token_opens(given: str, reason: str | None) -> None:
    refusal = token_refusal({"Authorization": given}, "right-right-right")
    assert (refusal and refusal.reason) == reason


def test_a_token_that_is_no_text_is_refused_and_no_mistake_of_ours() -> None:
    # As aiohttp decodes octets that are not UTF-8.
    refusal = token_refusal({"Authorization": "Bearer \udcff\udcfe"}, "right-right-right")
    assert refusal is not None
    assert (refusal.status, refusal.reason) == (401, "token-wrong")


def test_nothing_opens_a_page_without_a_token() -> None:
    assert token_refusal({"Authorization": "Bearer "}, None) is not None
    assert token_refusal({"Authorization": "Bearer None"}, None) is not None


def test_rates_refuse_the_address_that_asks_too_often_and_no_other() -> None:
    rates = Rates()
    answers = [rates.refusal("192.0.2.1", 0.0) for _ in range(REQUEST_BURST + 1)]
    assert [a and a.status for a in answers] == [None] * REQUEST_BURST + [429]
    assert rates.refusal("192.0.2.2", 0.0) is None
    assert rates.refusal("192.0.2.1", 1.0) is None


def test_rates_remember_a_bounded_number_of_addresses() -> None:
    rates = Rates()
    for number in range(3 * MAX_ADDRESSES):
        rates.refusal(str(number), 0.0)
    assert len(rates._known) == MAX_ADDRESSES


def test_browser_may_run_nothing_but_the_pages_own_files() -> None:
    words = {rule.split()[0]: rule.split()[1:] for rule in CONTENT_POLICY.split("; ")}
    assert words["default-src"] == ["'none'"]
    assert words["script-src"] == words["style-src"] == words["connect-src"] == ["'self'"]
    assert words["frame-ancestors"] == words["form-action"] == words["base-uri"] == ["'none'"]
    assert "unsafe" not in CONTENT_POLICY
