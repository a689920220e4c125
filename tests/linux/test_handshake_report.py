"""What our data plane tells of handshakes, read from its text."""

from babelwg.linux.tunnels.handshakes import HandshakeReport, SeenCaller, SignAges, read_handshakes

ANSWER = f"""interface=bw-b
sent_age=1.500
refused_age=0.250
interface=bw-c
port=51820
caller=unknown-peer 2001:db8::1 7 {"ab" * 32} 3 0.500
caller=wrong-mac1 192.0.2.1 51820 - 1 12.000
caller=of tomorrow
errno=0

"""


def test_ages_and_callers_are_read():
    report = read_handshakes(ANSWER)
    assert report.signs == {"bw-b": SignAges(1.5, None, 0.25), "bw-c": SignAges()}
    assert report.callers == (
        SeenCaller("unknown-peer", "2001:db8::1", 7, b"\xab" * 32, 3, 0.5),
        SeenCaller("wrong-mac1", "192.0.2.1", 51820, b"", 1, 12.0),
    )
    assert [caller.knows_us_wrongly for caller in report.callers] == [False, True]


def test_an_older_data_plane_tells_nothing():
    assert read_handshakes("message=not a command\nerrno=-22\n\n") == HandshakeReport({}, ())
