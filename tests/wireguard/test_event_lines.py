"""Events as lines of the log."""

from babelwg.wireguard.events import (
    EndpointMoved,
    HandshakeAbandoned,
    HandshakeCompleted,
    HandshakeUnanswered,
    SessionLost,
    describe,
)

KEY = bytes(32)
PEER = "A" * 43 + "="


def test_every_event_has_its_line():
    assert [
        describe(event)
        for event in (
            HandshakeCompleted("wg0", KEY, initiator=True),
            HandshakeCompleted("wg0", KEY, initiator=False),
            HandshakeUnanswered("wg0", KEY),
            HandshakeAbandoned("wg0", KEY),
            EndpointMoved("wg0", KEY, ("2001:db8::1", 7, 0, 0)),
            SessionLost("wg0", KEY),
        )
    ] == [
        f"handshake-completed interface=wg0 peer={PEER} role=initiator",
        f"handshake-completed interface=wg0 peer={PEER} role=responder",
        f"handshake-unanswered interface=wg0 peer={PEER}",
        f"handshake-abandoned interface=wg0 peer={PEER}",
        f"endpoint-moved interface=wg0 peer={PEER} endpoint=2001:db8::1:7",
        f"session-lost interface=wg0 peer={PEER}",
    ]
