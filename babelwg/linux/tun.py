"""TUN devices: a network interface whose packets a program reads and writes."""

import errno
import fcntl
import os
import socket
import struct

# Linux constants that Python does not name (linux/if_tun.h, linux/if.h, linux/sockios.h)
CLONE_DEVICE = "/dev/net/tun"
TUNSETIFF = 0x400454CA
TUNSETPERSIST = 0x400454CB
TUNGETIFF = 0x800454D2
IFF_TUN = 0x0001
IFF_NO_PI = 0x1000
IFF_MULTICAST = 0x1000
SIOCGIFFLAGS = 0x8913
SIOCSIFFLAGS = 0x8914
SIOCSIFMTU = 0x8922

_REQUEST = struct.Struct("16sH22x")
_REQUEST_INT = struct.Struct("16si20x")


class TunError(Exception):
    """A TUN device cannot be had or changed; `errno` is positive and the text one sentence."""

    def __init__(self, number: int, reason: str) -> None:
        self.errno = number
        super().__init__(reason)


class Tun:
    """A persistent, point-to-point TUN device without offloads; its descriptor does not block.

    Every read and write is one packet with nothing before it. (A virtio header would come first with IFF_VNET_HDR.)
    """

    def __init__(self, name: str, descriptor: int | None = None) -> None:
        """Make the device, or take up one that a program before us left, or one by its open descriptor."""
        self.name = name
        if descriptor is not None:
            self._descriptor = descriptor
            return
        existed = exists(name)
        self._descriptor = _open_clone_device()
        try:
            fcntl.ioctl(self._descriptor, TUNSETIFF, _REQUEST.pack(name.encode(), IFF_TUN | IFF_NO_PI))
            fcntl.ioctl(self._descriptor, TUNSETPERSIST, 1)
            self._set_multicast()
        except OSError as error:
            os.close(self._descriptor)
            raise _explain(name, existed, error) from error

    def fileno(self) -> int:
        """Return the descriptor to read and write packets with."""
        return self._descriptor

    def is_in_place(self) -> bool:
        """Return whether the device still has its name, and is in our network namespace."""
        try:
            answer = fcntl.ioctl(self._descriptor, TUNGETIFF, bytes(_REQUEST.size))
        except OSError:
            return False  # somebody else has removed it
        return _REQUEST.unpack(answer)[0].rstrip(b"\0") == self.name.encode() and exists(self.name)

    def set_mtu(self, mtu: int) -> None:
        """Set the largest packet in octets; raises TunError."""
        try:
            _interface_request(SIOCSIFMTU, _REQUEST_INT.pack(self.name.encode(), mtu))
        except OSError as error:
            raise TunError(
                error.errno or errno.EIO, f"cannot set the MTU of {self.name} to {mtu}: {error.strerror}"
            ) from error

    def close(self) -> None:
        """Let go of the device, which stays for the next program."""
        os.close(self._descriptor)

    def remove(self) -> None:
        """Let go of the device and make it disappear."""
        try:
            fcntl.ioctl(self._descriptor, TUNSETPERSIST, 0)
        except OSError as error:
            if error.errno != errno.EBADFD:  # Somebody else has removed it already.
                raise TunError(error.errno or errno.EIO, f"cannot remove {self.name}: {error}") from error
        finally:
            os.close(self._descriptor)

    def _set_multicast(self) -> None:
        answer = _interface_request(SIOCGIFFLAGS, _REQUEST.pack(self.name.encode(), 0))
        flags = _REQUEST.unpack(answer)[1]
        if not flags & IFF_MULTICAST:
            _interface_request(SIOCSIFFLAGS, _REQUEST.pack(self.name.encode(), flags | IFF_MULTICAST))


def exists(name: str) -> bool:
    """Return whether an interface of this name, of any kind, is in our network namespace."""
    try:
        socket.if_nametoindex(name)
    except OSError:
        return False
    return True


def _open_clone_device() -> int:
    try:
        return os.open(CLONE_DEVICE, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        number = error.errno or errno.EIO
        if number in (errno.ENOENT, errno.ENODEV, errno.ENXIO):
            reason = (
                f"{CLONE_DEVICE} is missing: load the kernel module `tun`, or give the container this device"
            )
            raise TunError(errno.ENODEV, reason) from error
        raise TunError(number, f"cannot open {CLONE_DEVICE}: {error.strerror}") from error


def _explain(name: str, existed: bool, error: OSError) -> TunError:
    number = error.errno or errno.EIO
    if existed and number == errno.EBUSY:
        return TunError(errno.EEXIST, f"the interface {name} is in use by another program")
    if existed and number == errno.EINVAL:
        return TunError(
            errno.EEXIST, f"the interface name {name} is taken by something that is not a TUN device"
        )
    if number == errno.EPERM:
        return TunError(number, f"not allowed to make the TUN device {name}: CAP_NET_ADMIN is missing")
    return TunError(number, f"cannot make the TUN device {name}: {error.strerror}")


def _interface_request(code: int, request: bytes) -> bytes:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as any_socket:
        return fcntl.ioctl(any_socket, code, request)
