"""Sessions: one key in each direction, and the three slots a peer keeps them in."""

from typing import TYPE_CHECKING

from babelwg.wireguard.noise.crypto import Cipher
from babelwg.wireguard.noise.handshake import TransportKeys
from babelwg.wireguard.replay import ReplayWindow

if TYPE_CHECKING:
    from babelwg.wireguard.peer import Peer

# Specification constants
REKEY_AFTER_MESSAGES = 2**60
REJECT_AFTER_MESSAGES = 2**64 - 2**13 - 1


class Keypair:
    """One session with a peer."""

    __slots__ = (
        "counter",
        "created",
        "initiator",
        "local_index",
        "peer",
        "preferred",
        "receiving",
        "remote_index",
        "replay",
        "sending",
    )

    def __init__(
        self,
        peer: "Peer",
        keys: TransportKeys,
        initiator: bool,
        local_index: int,
        remote_index: int,
        created: float,
    ) -> None:
        mine, theirs = keys if initiator else (keys.responder_sends, keys.initiator_sends)
        self.peer = peer
        self.sending = Cipher(mine)
        self.receiving = Cipher(theirs)
        self.initiator = initiator
        self.local_index = local_index
        self.remote_index = remote_index
        self.created = created  # seconds
        self.counter = 0  # of the next packet to send
        self.replay = ReplayWindow()
        self.preferred = False  # over our own of the same moment, once it is used

    def erase(self) -> None:
        """Overwrite both keys."""
        self.sending.erase()
        self.receiving.erase()


class Keypairs:
    """The previous, the current and the next session of a peer; each method returns those that must be erased."""

    __slots__ = ("current", "next", "previous")

    def __init__(self) -> None:
        self.previous: Keypair | None = None
        self.current: Keypair | None = None
        self.next: Keypair | None = None

    def start_as_initiator(self, new: Keypair) -> list[Keypair]:
        """Make a session current at once: the response has confirmed it."""
        if self.next is not None:
            dropped = [self.previous, self.current]
            self.previous, self.next = self.next, None
        else:
            dropped = [self.previous]
            self.previous = self.current
        self.current = new
        return [keypair for keypair in dropped if keypair is not None]

    def start_as_responder(self, new: Keypair) -> list[Keypair]:
        """Keep a session for receiving only, until a packet confirms it."""
        dropped = [self.previous, self.next]
        self.previous, self.next = None, new
        return [keypair for keypair in dropped if keypair is not None]

    def confirm(self) -> list[Keypair]:
        """Make the next session current, as its first packet has arrived."""
        dropped = [self.previous]
        self.previous, self.current, self.next = self.current, self.next, None
        return [keypair for keypair in dropped if keypair is not None]

    def go_back(self) -> None:
        """Exchange the current session and the previous one."""
        self.previous, self.current = self.current, self.previous

    def clear(self) -> list[Keypair]:
        """Empty all three slots."""
        dropped = [self.previous, self.current, self.next]
        self.previous = self.current = self.next = None
        return [keypair for keypair in dropped if keypair is not None]
