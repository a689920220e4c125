"""The receiver indices that lead from a datagram to a session or to a handshake under way."""

from typing import TYPE_CHECKING

from babelwg.wireguard.keypair import Keypair
from babelwg.wireguard.noise.crypto import SecretSource
from babelwg.wireguard.nudge import NUDGE_INDEX

if TYPE_CHECKING:
    from babelwg.wireguard.peer import Peer


class IndexTable:
    """Random indices, unique among all live handshakes and sessions of this process."""

    def __init__(self, secrets: SecretSource) -> None:
        self._secrets = secrets
        self.handshakes: dict[int, Peer] = {}
        self.sessions: dict[int, Keypair] = {}

    def draw(self) -> int:
        """Return an index that nothing uses."""
        while True:
            index = int.from_bytes(self._secrets.octets(4), "little")
            if index != NUDGE_INDEX and index not in self.handshakes and index not in self.sessions:
                return index

    def release(self, index: int) -> None:
        """Forget an index, used or not."""
        self.handshakes.pop(index, None)
        self.sessions.pop(index, None)

    def drop(self, keypairs: list[Keypair]) -> None:
        """Erase sessions and forget their indices."""
        for keypair in keypairs:
            self.release(keypair.local_index)
            keypair.erase()
