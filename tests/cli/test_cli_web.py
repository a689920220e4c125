"""`web`: the link to the page."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from click.testing import Result
from jsonschema import Draft202012Validator

from babelwg.cli.schema import compose

RUNNING = {
    "running": True,
    "configured": False,
    "listen": "127.0.0.1:6698",
    "url": "http://127.0.0.1:6698/",
    "login_url": None,
    "token_file": None,
    "token_missing": False,
    "problem": None,
    "clients": 1,
}
OPENED = {**RUNNING, "login_url": "http://127.0.0.1:6698/#token=abc"}
STOPPED = {**RUNNING, "running": False, "listen": None, "url": None, "clients": 0}

Ask = Callable[..., Result]


def methods_asked(daemon: Any) -> list[str]:
    return [request["method"] for request in daemon.requests]


def test_web_prints_the_link_alone(ask: Ask, daemon: Any) -> None:
    daemon.answers |= {"web": STOPPED, "web_open": OPENED}
    result = ask("web")
    assert (result.exit_code, result.stdout) == (0, "http://127.0.0.1:6698/#token=abc\n")
    assert methods_asked(daemon) == ["web", "web_open"]
    assert ask("web", "--listen", "[::1]:80").exit_code == 0
    assert daemon.requests[-1]["params"] == {"listen": "[::1]:80"}


def test_web_of_a_unix_socket_tells_the_way_there(ask: Ask, daemon: Any) -> None:
    link = "http://localhost:6698/#token=abc"
    opened = {**RUNNING, "listen": "unix:/run/w", "url": None, "login_url": link}
    daemon.answers |= {"web": STOPPED, "web_open": opened}
    assert ask("web").stdout == f"ssh -L 6698:/run/w HOST, then open\n{link}\n"


def test_web_makes_the_token_that_is_missing(ask: Ask, daemon: Any, tmp_path: Path) -> None:
    file = tmp_path / "web.token"
    missing = {**STOPPED, "configured": True, "token_file": str(file), "token_missing": True}
    daemon.answers |= {"web": missing, "web_open": OPENED}
    assert ask("web").exit_code == 0
    assert file.stat().st_mode & 0o777 == 0o600
    text = file.read_text()
    assert len(text) == 44
    assert ask("web").exit_code == 0
    assert file.read_text() == text
    daemon.answers["web"] = {**missing, "token_file": str(tmp_path / "none" / "web.token")}
    result = ask("web")
    assert result.exit_code == 1
    assert "No such file or directory" in result.stderr


def test_who_may_only_read_is_told_where_the_page_is(ask: Ask, daemon: Any, monkeypatch: Any) -> None:
    from babelwg.cli import client
    from babelwg.cli.client import Answer
    from babelwg.cli.exits import Failure

    def refuse(path: Path, method: str, params: Any = None, **how: Any) -> Answer:
        if method == "web_open":
            raise Failure("only root may change this node: run it as root", 4)
        return Answer("alpha", daemon.answers["web"])

    monkeypatch.setattr(client, "ask", refuse)
    daemon.answers["web"] = RUNNING
    assert ask("web").stdout == "http://127.0.0.1:6698/\n"
    daemon.answers["web"] = STOPPED
    assert ask("web").exit_code == 4


def test_web_off_says_whether_the_page_is_gone(ask: Ask, daemon: Any) -> None:
    daemon.answers["web_close"] = STOPPED
    assert ask("web", "--off").stdout == "The page is no longer served.\n"
    daemon.answers["web_close"] = RUNNING
    assert "take [web] out" in ask("web", "--off").stdout
    assert ask("web", "--off", "--listen", "127.0.0.1:1").exit_code == 2


def test_web_prints_what_the_schema_says(ask: Ask, daemon: Any) -> None:
    import json

    daemon.answers |= {"web": STOPPED, "web_open": OPENED}
    document = json.loads(ask("web", "--json").stdout)
    schema = compose()
    Draft202012Validator({"$ref": "#/$defs/web", "$defs": schema["$defs"]}).validate(document["data"])
