"""`python -m babelwg.dataplane`: host tunnels until told to stop."""

import argparse
import logging
import signal
import sys
from dataclasses import fields, replace
from pathlib import Path

from babelwg.dataplane.host import Host
from babelwg.dataplane.loop import Loop
from babelwg.dataplane.textserver import SocketTakenError, TextServer
from babelwg.wireguard.timers import PROTOCOL_VALUES, TimerValues


def main() -> int:
    """Run until SIGTERM, SIGINT or `shutdown=1`; TUN devices stay for the next start."""
    options = _parser().parse_args()
    logging.basicConfig(
        level=logging.DEBUG if options.verbose else logging.INFO,
        format="%(asctime)s %(levelname)s %(message)s",
        stream=sys.stderr,
    )
    loop = Loop()
    host = Host(loop, options.uapi_dir, options.timers)
    try:
        options.control.parent.mkdir(parents=True, exist_ok=True)
        control = TextServer(loop, options.control, host.answer_control)
    except (SocketTakenError, OSError) as error:
        print(f"babelwg data plane: {error}", file=sys.stderr)
        return 1
    loop.stop_on(signal.SIGTERM, signal.SIGINT)
    try:
        loop.run()
    finally:
        host.close()
        control.close()
        loop.close()
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="babelwg.dataplane", description="babelwg's own userspace WireGuard, for many tunnels"
    )
    parser.add_argument("--control", type=Path, required=True, help="Unix socket for tunnels to be made by")
    parser.add_argument("--uapi-dir", type=Path, default=Path("/run/wireguard"), help="where `wg` looks")
    parser.add_argument(
        "--timers",
        type=_read_timers,
        default=PROTOCOL_VALUES,
        metavar="NAME=SECONDS,...",
        help="other timer values than the protocol's, for tests only",
    )
    parser.add_argument("--verbose", action="store_true", help="log every handshake and move of an endpoint")
    return parser


def _read_timers(text: str) -> TimerValues:
    known = {field.name for field in fields(TimerValues)}
    values = {}
    for part in text.split(","):
        name, _, value = part.partition("=")
        if name not in known:
            raise argparse.ArgumentTypeError(f"{name!r} is not one of {', '.join(sorted(known))}")
        values[name] = float(value)
    return replace(PROTOCOL_VALUES, **values)


if __name__ == "__main__":
    sys.exit(main())
