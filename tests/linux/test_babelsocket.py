"""When a datagram came: the kernel's stamp, on the monotonic clock."""

import socket

import pytest

from babelwg.linux import babelsocket
from babelwg.linux.babelsocket import SO_TIMESTAMPNS, TIMESPEC, _arrival, _packet_info


@pytest.mark.conformance("R3.2-6")
def test_the_kernels_stamp_counts_and_not_the_moment_of_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(babelsocket.time, "monotonic", lambda: 7.5)
    assert _arrival(1000.0 - 0.25, now=7.0, offset=7.5 - 1000.0) == 7.25


@pytest.mark.parametrize("age", [-0.5, 15.5, 86400.0, -86400.0])
def test_a_stamp_that_a_step_of_the_clock_has_overtaken_is_dropped_for_now(
    age: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(babelsocket.time, "monotonic", lambda: 7.0)
    assert _arrival(1000.0 - age, now=7.0, offset=7.0 - 1000.0) == 7.0
    assert _arrival(None, now=7.0, offset=7.0 - 1000.0) == 7.0


def test_ancillary_data_is_read_whatever_is_missing() -> None:
    stamp = (socket.SOL_SOCKET, SO_TIMESTAMPNS, TIMESPEC.pack(12, 500_000_000))
    info = (socket.IPPROTO_IPV6, socket.IPV6_PKTINFO, bytes(15) + b"\1" + (3).to_bytes(4, "little"))
    assert _packet_info([stamp, info]) == (bytes(15) + b"\1", 3, 12.5)
    assert _packet_info([info]) == (bytes(15) + b"\1", 3, None)
    assert _packet_info([stamp[:2] + (b"short",)]) == (bytes(16), 0, None)
