"""`python -m babelwg.dataplane`: host tunnels until told to stop."""

import argparse
import contextlib
import logging
import os
import signal
import sys
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from babelwg.dataplane.handover import CAN_RESUME, FORMAT, RESUME, UPGRADE_SIGNAL, Successor, take_over
from babelwg.dataplane.host import Host
from babelwg.dataplane.loop import Loop
from babelwg.dataplane.textserver import SocketTakenError, TextServer
from babelwg.wireguard.timers import PROTOCOL_VALUES, TimerValues

# Implementation constants: the protocol's durations, and nudges, in seconds
OUR_VALUES = replace(PROTOCOL_VALUES, nudge_interval=0.5)


def main() -> int:
    """Run until SIGTERM, SIGINT or `shutdown=1`; TUN devices stay for the next start. SIGUSR2 executes us anew."""
    options = _parser().parse_args()
    logging.basicConfig(
        level=logging.DEBUG if options.verbose else logging.INFO,
        format="%(asctime)s %(levelname)s %(message)s",
        stream=sys.stderr,
    )
    if options.can_resume is not None:
        return 0 if options.can_resume == FORMAT else 1
    loop = Loop()
    try:
        host, control = _resume(loop, options) or _start(loop, options)
    except (SocketTakenError, OSError) as error:
        print(f"babelwg data plane: {error}", file=sys.stderr)
        return 1
    host.tell = control.tell
    successor = Successor(loop, lambda: _describe(host, control))
    loop.act_on(
        {signal.SIGTERM: loop.stop, signal.SIGINT: loop.stop, UPGRADE_SIGNAL: successor.begin},
    )
    try:
        loop.run()
    finally:
        host.close()
        control.close()
        loop.close()
    return 0


def _start(loop: Loop, options: argparse.Namespace) -> tuple[Host, TextServer]:
    host = Host(loop, options.uapi_dir, options.timers)
    options.control.parent.mkdir(parents=True, exist_ok=True)
    return host, TextServer(loop, options.control, host.answer_control)


def _resume(loop: Loop, options: argparse.Namespace) -> tuple[Host, TextServer] | None:
    """Go on with what the process before us left; None where there is none, or something is wrong with it."""
    if options.resume is None:
        return None
    host = Host(loop, options.uapi_dir, options.timers)
    values: dict[str, Any] = {"descriptors": []}
    try:
        values = take_over(options.resume)
        host.resume(values)
        return host, TextServer(loop, options.control, host.answer_control, values["control"])
    except Exception:
        # Its tunnels begin anew, as after a kill: the daemon finds them gone.
        logging.exception("what the process before left cannot be used")
        host.close()
        for descriptor in values["descriptors"]:
            with contextlib.suppress(OSError):
                os.close(descriptor)
        return None


def _describe(host: Host, control: TextServer) -> dict[str, Any]:
    values = {**host.describe(), "control": control.fileno()}
    descriptors = [each[key] for each in values["tunnels"] for key in ("tun", "uapi")]
    descriptors += [descriptor for _, each in values["ports"] for descriptor in each]
    return {**values, "descriptors": [*descriptors, control.fileno()]}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="babelwg.dataplane", description="babelwg's own userspace WireGuard, for many tunnels"
    )
    parser.add_argument("--control", type=Path, required=True, help="Unix socket for tunnels to be made by")
    parser.add_argument("--uapi-dir", type=Path, default=Path("/run/wireguard"), help="where `wg` looks")
    parser.add_argument(
        "--timers",
        type=_read_timers,
        default=OUR_VALUES,
        metavar="NAME=SECONDS,...",
        help="other timer values than the protocol's, for tests only",
    )
    parser.add_argument(RESUME, type=int, help=argparse.SUPPRESS)
    parser.add_argument(CAN_RESUME, type=int, help=argparse.SUPPRESS)
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
    return replace(OUR_VALUES, **values)


if __name__ == "__main__":
    sys.exit(main())
