"""A configuration in babeld's language, written out with every setting that holds."""

from collections.abc import Callable, Iterator
from dataclasses import fields
from ipaddress import ip_address
from typing import Any, NamedTuple

from babelwg.babel.events import router_id_text
from babelwg.babel.wire.mac import MacKey
from babelwg.config.babeld.filter_text import filter_text, string_text
from babelwg.config.babeld.filters import LOCAL_ALLOW, Filter
from babelwg.config.babeld.grammar import MAX_INTERVAL, MAX_SECONDS
from babelwg.config.babeld.model import BabeldConfig, BabelInterface

Write = Callable[[Any], str | None]

DETECTED = "type, link-quality and rxcost become those of a wireless network where the kernel says it is one"


class Setting(NamedTuple):
    """A directive or a parameter and its value in words; `word` is None where the language cannot say it."""

    name: str
    word: str | None
    value: Any


def babeld_text(config: BabeldConfig) -> str:
    """Return a text in babeld's language that says all that a configuration holds, keys' values left out."""
    lines = [directive_text(setting) for setting in directives(config)]
    lines += [f"# {key_text(key)}" for key in config.keys]
    for interface in config.interfaces:
        lines += ["", *_interface_lines(interface)]
    lines.append("")
    implicit = implicit_lines(config)
    for kind, filters in filters_of(config).items():
        lines += [filter_text(kind, line) for line in filters]
        lines += [f"# implicit: {implicit[kind]}"] if kind in implicit else []
    return "\n".join(lines) + "\n"


def directives(config: BabeldConfig) -> list[Setting]:
    """Return the global settings in the order of their fields."""
    return list(_directives(config))


def parameters(interface: BabelInterface) -> list[Setting]:
    """Return the settled parameters of an interface but for its keys."""
    said = interface.options
    settings = []
    for name, write in PARAMETERS.items():
        value = getattr(interface, name.replace("-", "_"))
        word = write(value)
        if said.kind is None and getattr(said, name.replace("-", "_"), None) is None and name in WIRELESS:
            # What detection may still change stays open, so that the text means the same everywhere.
            word = WIRELESS[name]
        settings.append(Setting(name, word, value))
    return [Setting("type", interface.kind, interface.kind), *settings]


def implicit_lines(config: BabeldConfig) -> dict[str, str]:
    """Return the line that comes after the last one of its kind without being written."""
    local = filter_text("redistribute", LOCAL_ALLOW) if config.implicit_local else "redistribute deny"
    return {"redistribute": local, "install": filter_text("install", Filter())}


def filters_of(config: BabeldConfig) -> dict[str, tuple[Filter, ...]]:
    """Return the filter lines as written, by the word that begins them."""
    return {
        "in": config.in_filters,
        "out": config.out_filters,
        "redistribute": config.filters,
        "install": config.install_filters,
    }


def directive_text(setting: Setting) -> str:
    """Return the line of a global setting, a comment where there is nothing to say."""
    return unsaid_text(setting) if setting.word is None else f"{setting.name} {setting.word}"


def unsaid_text(setting: Setting) -> str:
    """Return the comment for a setting that neither language can or needs to say."""
    return f"# {setting.name}: {value_text(setting) or 'not set'}"


def value_text(setting: Setting) -> str | None:
    """Return the value of a setting in words, also where the language has none for it; None when it is not set."""
    if setting.word is not None or setting.value is None:
        return setting.word
    return f"{setting.value:g}"


def key_text(key: MacKey) -> str:
    """Return the line of a key without its value."""
    return f"key id {string_text(key.id)} type {key.algorithm}  (value left out)"


def is_open(interface: BabelInterface) -> bool:
    """Return whether what the kernel says of an interface may still change its parameters."""
    return interface.options.kind is None


def _directives(config: BabeldConfig) -> Iterator[Setting]:
    for field in fields(BabeldConfig):
        value = getattr(config, field.name)
        if field.name == "import_tables":
            yield from (Setting("import-table", str(table), table) for table in value)
        elif field.name in ("local_port", "local_path"):
            readwrite = "-readwrite" if config.local_readwrite and value is not None else ""
            yield _setting(field.name.replace("_", "-") + readwrite, value, _path_or_port)
        elif field.name == "shutdown_delay":
            yield _setting("shutdown-delay-ms", value, lambda seconds: str(round(seconds * 1000)))
        elif field.name not in NOT_DIRECTIVES:
            yield _setting(field.name.replace("_", "-"), value, WRITERS.get(field.name, _plain))


def _setting(name: str, value: Any, write: Write) -> Setting:
    return Setting(name, None if value is None else write(value), value)


def _interface_lines(interface: BabelInterface) -> Iterator[str]:
    if is_open(interface):
        yield f"# {DETECTED}"
    start = f"interface {string_text(interface.name)}"
    settings = parameters(interface)
    yield from (unsaid_text(setting) for setting in settings if setting.word is None)
    said = [f"{name} {word}" for name, word, _ in settings if word is not None]
    yield " ".join((start, *said, *(f"key {string_text(key.id)}" for key in interface.keys)))


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _path_or_port(value: str | int) -> str:
    return string_text(value) if isinstance(value, str) else str(value)


def _positive(value: int) -> str | None:
    return str(value) if value > 0 else None


def _boolean_or_auto(value: bool | None) -> str:
    return "auto" if value is None else _plain(value)


def _thousandths(value: int) -> str:
    """Return a thousandth of an integer with as many decimals as it needs."""
    return f"{value / 1000:.3f}".rstrip("0").rstrip(".")


def _seconds(value: float) -> str:
    return _thousandths(round(value * 1000))


def _interval(value: float) -> str | None:
    # Four times a long Hello interval is more than the language can say; left out, it comes to the same.
    return _seconds(value) if round(value * 1000) <= MAX_INTERVAL else None


def _milliseconds(value: float) -> str | None:
    number = round(value * 1_000_000)
    return _thousandths(number) if number <= MAX_SECONDS else None


NOT_DIRECTIVES = {
    "default",
    "interfaces",
    "filters",
    "in_filters",
    "out_filters",
    "install_filters",
    "keys",
    "implicit_local",
    "local_readwrite",
}
WRITERS: dict[str, Write] = {
    "protocol_group": lambda value: str(ip_address(value)),
    "router_id": router_id_text,
    "kernel_priority": _positive,
    "kernel_check_interval": _seconds,
    "smoothing_half_life": _seconds,
    "log_file": string_text,
    "pid_file": string_text,
    "state_file": string_text,
}
PARAMETERS: dict[str, Write] = {
    "link-quality": _plain,
    "split-horizon": _plain,
    "rxcost": str,
    "hello-interval": _interval,
    "update-interval": _interval,
    "enable-timestamps": _plain,
    "unicast": _plain,
    "rfc6126-compatible": _plain,
    "rtt-decay": str,
    "rtt-min": _milliseconds,
    "rtt-max": _milliseconds,
    "max-rtt-penalty": _positive,
    "v4-via-v6": _boolean_or_auto,
    "probe-mtu": _plain,
    "accept-bad-signatures": _plain,
}
WIRELESS: dict[str, str | None] = {"link-quality": "auto", "rxcost": None}
