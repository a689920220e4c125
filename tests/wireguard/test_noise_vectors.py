"""The handshake against recorded octets, some of which wireguard-go has accepted."""

import pytest

from babelwg.wireguard.keypair import Keypair
from babelwg.wireguard.noise.cookie import CookieJar, CookieServer, has_valid_mac1
from babelwg.wireguard.noise.crypto import (
    AuthenticationError,
    PacketBuffer,
    WeakPointError,
    dh,
    kdf,
    mac,
    public_key,
    seal_extended,
    unseal_extended,
)
from babelwg.wireguard.noise.handshake import (
    CHAIN_START,
    HASH_START,
    ReceivedInitiation,
    StaticKeys,
    cookie_key,
    mac1_key,
    write_initiation,
)
from babelwg.wireguard.noise.messages import CookieReply, Initiation, Response
from babelwg.wireguard.noise.tai64n import successor, timestamp_of

KDF3 = {
    b"test-key/test-input": (
        "6f0e5ad38daba1bea8a0d213688736f19763239305e0f58aba697f9ffc41c633",
        "df1194df20802a4fe594cde27e92991c8cae66c366e8106aaa937a55fa371e8a",
        "fac6e2745a325f5dc5d11a5b165aad08b0ada28e7b4e666b7c077934a4d76c24",
    ),
    b"wireguard/wireguard": (
        "491d43bbfdaa8750aaf535e334ecbfe5129967cd64635101c566d4caefda96e8",
        "1e71a379baefd8a79aa4662212fcafe19a23e2b609a3db7d6bcba8f560e3d25f",
        "31e1ae48bddfbe5de38f295e5452b1909a1b4e38e183926af3780b0c1e1f0160",
    ),
    b"/": (
        "8387b46bf43eccfcf349552a095d8315c4055beb90208fb1be23b894bc2ed5d0",
        "58a0e5f6faefccf4807bff1f05fa8a9217945762040bcec2f4b4a62bdfe0e86e",
        "0ce6ea98ec548f8e281e93e32db65621c45eb18dc6f0a7ad94178610a2f7338e",
    ),
}


def hexed(text):
    return bytes.fromhex(text)


class Exchange:
    """Both sides of the recorded handshake."""

    def __init__(self, v):
        self.initiator = StaticKeys.of(hexed(v["si"]["priv"]))
        self.responder = StaticKeys.of(hexed(v["sr"]["priv"]))
        self.shared = dh(self.initiator.private, self.responder.public)
        self.psk = hexed(v["psk"])
        self.initiation, self.kept = write_initiation(
            self.initiator,
            self.responder.public,
            self.shared,
            hexed(v["ei"]["priv"]),
            hexed(v["tai"]),
            v["initiator_index"],
        )
        self.received = ReceivedInitiation(self.responder, self.initiation)
        self.timestamp = self.received.read_timestamp(self.shared)
        self.response, self.keys = self.received.write_response(
            self.psk, hexed(v["er"]["priv"]), v["responder_index"]
        )


@pytest.fixture
def exchange(vectors):
    return Exchange(vectors)


@pytest.mark.parametrize("text", KDF3)
def test_key_derivation_gives_the_recorded_keys(text):
    key, _, data = text.partition(b"/")
    assert tuple(k.hex() for k in kdf(3, key, data)) == KDF3[text]


def test_constants_hash_to_the_recorded_values(vectors):
    assert CHAIN_START.hex() == vectors["C0"]
    assert HASH_START.hex() == vectors["H0"]


def test_keys_derive_as_recorded(vectors):
    for side in ("si", "sr", "ei", "er"):
        assert public_key(hexed(vectors[side]["priv"])).hex() == vectors[side]["pub"]
    assert dh(hexed(vectors["si"]["priv"]), hexed(vectors["sr"]["pub"])).hex() == vectors["ss"]
    assert mac1_key(hexed(vectors["sr"]["pub"])).hex() == vectors["mac1key_r"]
    assert mac1_key(hexed(vectors["si"]["pub"])).hex() == vectors["mac1key_i"]
    assert cookie_key(hexed(vectors["sr"]["pub"])).hex() == vectors["cookie_key"]


def test_initiation_has_the_recorded_octets(exchange, vectors):
    jar = CookieJar(exchange.responder.mac1_key, exchange.responder.cookie_key)
    data = jar.add_macs(exchange.initiation.encode(), now=0.0)
    assert data.hex() == vectors["init"]
    assert Initiation.decode(data).sender == vectors["initiator_index"]
    assert exchange.received.static == exchange.initiator.public
    assert exchange.timestamp == hexed(vectors["tai"])


def test_response_has_the_recorded_octets_and_keys(exchange, vectors):
    jar = CookieJar(exchange.initiator.mac1_key, exchange.initiator.cookie_key)
    assert jar.add_macs(exchange.response.encode(), now=0.0).hex() == vectors["resp"]
    assert exchange.keys.initiator_sends.hex() == vectors["initiator_send"]
    assert exchange.keys.responder_sends.hex() == vectors["initiator_recv"]
    assert exchange.kept.read_response(exchange.initiator, exchange.psk, exchange.response) == exchange.keys


def test_response_is_refused_when_the_preshared_keys_differ(exchange):
    with pytest.raises(AuthenticationError):
        exchange.kept.read_response(exchange.initiator, bytes(32), exchange.response)
    # The failed try has not touched what the right one needs.
    assert exchange.kept.read_response(exchange.initiator, exchange.psk, exchange.response) == exchange.keys


def test_transport_messages_have_the_recorded_octets(exchange, vectors):
    for counter, packet, expected in (
        (0, b"", vectors["keepalive_ctr0"]),
        (1, hexed(vectors["data_ctr1_padded_plaintext"]), vectors["data_ctr1"]),
    ):
        keypair = Keypair(None, exchange.keys, True, 1, vectors["responder_index"], 0.0)
        buffer = PacketBuffer()
        buffer.load_packet(packet)
        keypair.sending.seal_packet(buffer, len(packet), counter)
        assert bytes(buffer.datagram[16 : 32 + len(packet)]).hex() == expected[32:]
        buffer.length = 32 + len(packet)
        other = Keypair(None, exchange.keys, False, vectors["responder_index"], 1, 0.0)
        assert other.receiving.open_packet(buffer, counter)
        assert bytes(buffer.room[: len(packet)]) == packet


def test_erased_key_opens_nothing(exchange, vectors):
    keypair = Keypair(None, exchange.keys, False, 1, 2, 0.0)
    buffer = PacketBuffer()
    buffer.load_datagram(hexed(vectors["keepalive_ctr0"]))
    keypair.erase()
    assert not keypair.receiving.open_packet(buffer, 0)


def test_mac_is_keyed_blake2s_of_sixteen_octets(vectors):
    source = hexed(vectors["cookie"]["source"])
    assert mac(hexed(vectors["cookie"]["secret"]), source).hex() == vectors["cookie"]["cookie"]


@pytest.mark.conformance("W-mac-2", "W-cookie-3")
def test_cookie_reply_is_taken_once_and_fills_mac2(exchange, vectors):
    jar = CookieJar(exchange.responder.mac1_key, exchange.responder.cookie_key)
    first = jar.add_macs(exchange.initiation.encode(), now=0.0)
    reply = CookieReply.decode(hexed(vectors["cookie_reply"]))
    assert jar.take(reply, now=1.0)
    assert not jar.take(reply, now=1.0)
    second = jar.add_macs(exchange.initiation.encode(), now=2.0)
    assert second[:-16] == first[:-16]
    assert second[-16:].hex() == vectors["init_mac2"]
    assert jar.add_macs(exchange.initiation.encode(), now=120.9)[-16:].hex() == vectors["init_mac2"]
    assert jar.add_macs(exchange.initiation.encode(), now=121.1)[-16:] == bytes(16)


@pytest.mark.conformance("W-cookie-3")
def test_cookie_reply_to_another_message_is_ignored(exchange, vectors):
    jar = CookieJar(exchange.responder.mac1_key, exchange.responder.cookie_key)
    jar.add_macs(exchange.response.encode(), now=0.0)
    assert not jar.take(CookieReply.decode(hexed(vectors["cookie_reply"])), now=1.0)
    assert jar.add_macs(exchange.initiation.encode(), now=2.0)[-16:] == bytes(16)


@pytest.mark.conformance("W-cookie-5")
def test_cookie_secret_is_renewed_every_120_seconds(secrets):
    server = CookieServer(secrets)
    cookie = server.cookie_for(b"source", now=0.0)
    assert server.cookie_for(b"source", now=119.9) == cookie
    assert server.cookie_for(b"other", now=119.9) != cookie
    assert server.cookie_for(b"source", now=120.0) != cookie


def test_mac1_is_keyed_with_the_receiver(exchange, vectors):
    data = hexed(vectors["init"])
    assert has_valid_mac1(exchange.responder, data)
    assert not has_valid_mac1(exchange.initiator, data)


@pytest.mark.conformance("W-hs-6")
@pytest.mark.parametrize("point", [bytes(32), b"\x01" + bytes(31), b"\xed" + b"\xff" * 30 + b"\x7f"])
def test_point_of_low_order_is_refused(point):
    with pytest.raises(WeakPointError):
        dh(b"\x11" * 32, point)


def test_extended_aead_is_refused_with_wrong_associated_data():
    sealed = seal_extended(bytes(32), bytes(24), b"cookie", b"mac1")
    assert unseal_extended(bytes(32), bytes(24), sealed, b"mac1") == b"cookie"
    with pytest.raises(AuthenticationError):
        unseal_extended(bytes(32), bytes(24), sealed, b"mac2")


def test_timestamp_is_rounded_down_and_its_successor_greater(vectors):
    assert timestamp_of(1_700_000_000.31).hex() == vectors["tai"]
    stamp = timestamp_of(1_700_000_000.0)
    for _ in range(70):
        assert successor(stamp) > stamp
        stamp = successor(stamp)
    assert stamp[:8] == timestamp_of(1_700_000_001.0)[:8]


def test_messages_decode_to_what_was_encoded():
    for message in (
        Initiation(1, b"e" * 32, b"s" * 48, b"t" * 28, b"1" * 16, b"2" * 16),
        Response(1, 2, b"e" * 32, b"n" * 16, b"1" * 16, b"2" * 16),
        CookieReply(3, b"n" * 24, b"c" * 32),
    ):
        assert type(message).decode(message.encode()) == message
