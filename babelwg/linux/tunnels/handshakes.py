"""How handshakes go, as our own data plane tells it: for each tunnel, and for those who call in vain."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from babelwg.wireguard.refusals import Reason


class SignAges(NamedTuple):
    """Seconds since each happened, None for never: a call of ours, one we answered, an answer we had to refuse."""

    sent: float | None = None
    taken: float | None = None
    refused: float | None = None


class SeenCaller(NamedTuple):
    """Somebody whose handshakes are refused; `public_key` is the one it claims, b"" where it is not known."""

    reason: str
    address: str
    port: int
    public_key: bytes
    times: int
    age: float  # seconds since the last

    @property
    def knows_us_wrongly(self) -> bool:
        """Whether it calls a public key that is not ours."""
        return self.reason == Reason.WRONG_MAC1


@dataclass(frozen=True, slots=True)
class HandshakeReport:
    """What the data plane tells; empty where none runs or it is an older one."""

    signs: Mapping[str, SignAges] = field(default_factory=dict)  # by interface
    callers: tuple[SeenCaller, ...] = ()


def read_handshakes(answer: str) -> HandshakeReport:
    """Return what an answer to `handshakes=1` says; lines that are not understood are passed over."""
    signs: dict[str, SignAges] = {}
    callers = []
    interface = ""
    for key, _, value in (line.partition("=") for line in answer.splitlines()):
        if key == "interface":
            interface = value
            signs[interface] = SignAges()
        elif key == "port":
            interface = ""
        elif key == "caller":
            callers += _read_caller(value)
        elif interface and key.removesuffix("_age") in SignAges._fields:
            signs[interface] = signs[interface]._replace(**{key.removesuffix("_age"): float(value)})
    return HandshakeReport(signs, tuple(callers))


def _read_caller(text: str) -> list[SeenCaller]:
    words = text.split(" ")
    if len(words) != 6:
        return []
    reason, address, port, key, times, age = words
    octets = b"" if key == "-" else bytes.fromhex(key)
    return [SeenCaller(reason, address, int(port), octets, int(times), float(age))]
