"""Keys in base64, and what follows from a public key."""

import pytest

from babelwg.config import (
    Key,
    generate_private,
    generate_psk,
    interface_name,
    link_local,
    node_address,
    public_of,
)

ONES = Key(b"\x11" * 32)
TWOS = Key(b"\x22" * 32)


def test_public_key_is_the_one_that_the_recorded_vectors_give() -> None:
    assert public_of(ONES).octets.hex() == "7b4e909bbe7ffe44c465a220037d608ee35897d31ef972f07f74892cb0f73f13"
    assert public_of(TWOS).octets.hex() == "0faa684ed28867b97f4a6a2dee5df8ce974e76b7018e3f22a1c4cf2678570f20"


def test_key_reads_back_what_it_writes() -> None:
    assert str(ONES) == "ERER" * 10 + "ERE="
    assert Key.parse(f"  {ONES}\n") == ONES


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "a key has 44 characters, this one has 0"),
        ("ERER" * 10 + "ERE", "a key has 44 characters, this one has 43"),
        ("ERER" * 10 + "ER*=", "a key holds only letters, digits, + and /, and ends with one ="),
        ("ERER" * 10 + "ERé=", "a key holds only letters, digits, + and /, and ends with one ="),
        ("ERER" * 11, "this is base64, but not of 32 octets"),
        # The last character carries two bits that no octet holds.
        ("ERER" * 10 + "ERF=", "this is base64, but not of 32 octets"),
    ],
)
def test_key_tells_in_words_what_is_wrong(text: str, message: str) -> None:
    with pytest.raises(ValueError) as caught:
        Key.parse(text)
    assert str(caught.value) == message


def test_key_never_shows_itself_in_repr() -> None:
    assert str(ONES) not in repr(ONES)
    assert ONES.octets.hex() not in repr(ONES)
    assert repr(ONES) != repr(TWOS)


def test_private_keys_are_clamped_and_differ() -> None:
    keys = {generate_private() for _ in range(20)}
    assert len(keys) == 20
    for key in keys:
        assert key.octets[0] & 7 == 0
        assert key.octets[31] & 0xC0 == 0x40


def test_preshared_keys_differ() -> None:
    assert generate_psk() != generate_psk()


def test_link_local_address_is_stable_and_of_the_key() -> None:
    address = link_local(public_of(ONES))
    assert address[:8] == bytes.fromhex("fe80000000000000")
    assert len(address) == 16
    assert address == link_local(public_of(ONES))
    assert address != link_local(public_of(TWOS))


def test_interface_name_is_the_peers_where_it_fits() -> None:
    assert interface_name("bravo", ONES) == "bw-bravo"
    assert interface_name("twelve-chars", ONES) == "bw-twelve-chars"


def test_interface_name_is_cut_and_marked_where_it_does_not_fit() -> None:
    name = interface_name("thirteen-char", ONES)
    assert len(name) == 15
    assert name.startswith("bw-thirtee-")
    assert set(name[11:]) <= set("abcdefghijklmnopqrstuvwxyz234567")
    assert name != interface_name("thirteen-char", TWOS)
    assert interface_name("Größe", ONES).startswith("bw-gr--e-")


def test_node_address_is_unique_local_and_of_the_key() -> None:
    address = node_address(public_of(ONES))
    assert len(address) == 16
    assert address[0] == 0xFD
    assert address[:6] == node_address(public_of(TWOS))[:6]
    assert address != node_address(public_of(TWOS))
