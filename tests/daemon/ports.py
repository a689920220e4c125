"""TCP ports for servers whose place has to be known before they listen."""

import socket
from random import SystemRandom

BELOW = 32768  # from here on the kernel gives ports away to whoever asks for any


def free_port(address: str = "127.0.0.1") -> int:
    """Return a port that nobody holds; one that the kernel gives to nobody before it is used."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    for port in SystemRandom().sample(range(10_000, BELOW), 100):
        with socket.socket(family) as probe:
            try:
                probe.bind((address, port))
            except OSError:
                continue
            return port
    raise AssertionError("a hundred ports in a row are in use")
