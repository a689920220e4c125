"""The installed units under a systemd that is process 1 of a container: start, reload, restart, stuck, removed."""

import shutil
import subprocess
from pathlib import Path

import pytest

from integration.packaging.conftest import CleanRoot

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

BOOT_TIMEOUT = 240  # seconds until the container has asked everything and ended
PROBE_UNIT = """\
[Unit]
After=multi-user.target

[Service]
Type=oneshot
StandardOutput=append:/log
StandardError=inherit
TimeoutStartSec=120
ExecStart=sh /probe
ExecStopPost=systemctl poweroff --no-block

[Install]
WantedBy=multi-user.target
"""
# Each line of /said is `name=value`.
PROBE = """
pid_of() { systemctl show --property MainPID --value "$1"; }
say() { echo "$1=$2" >>/said; }

dpkg --install /babelwg.deb
say enabled "$(systemctl is-enabled babelwg)"
say unconfigured "$(systemctl is-active babelwg)"
babelwg init --name alpha
printf 'name = "bravo"\\npublic-key = "%s"\\nbackend = "embedded"\\n' "$(babelwg genkey | babelwg pubkey)" \\
    >/etc/babelwg/peers.d/bravo.toml
# So that nobody waits half a minute for it.
mkdir /etc/systemd/system/babelwg.service.d
printf '[Service]\\nWatchdogSec=3\\n' >/etc/systemd/system/babelwg.service.d/test.conf
systemctl daemon-reload

systemctl start babelwg
say started $?
say status "$(systemctl show --property StatusText --value babelwg)"
say socket "$(stat -c '%A %U %G' /run/babelwg/control.sock)"
say capabilities "$(sed -n 's/^CapEff:[^0-9]*//p' /proc/$(pid_of babelwg)/status)"
say forwarding "$(cat /proc/sys/net/ipv4/ip_forward)"
babelwg web
say web $?
data_plane=$(pid_of babelwg-dataplane)
say data-plane-is-a-unit "$([ "$data_plane" -gt 1 ] && echo yes)"

systemctl reload babelwg
say reloaded $?
echo nonsense >>/etc/babelwg/babelwg.toml
systemctl reload babelwg
say reloaded-with-errors $?
sed -i '$d' /etc/babelwg/babelwg.toml
say still "$(systemctl is-active babelwg)"

systemctl restart babelwg
say restarted $?
babelwg status
say asked-after-restart $?
say same-data-plane "$([ "$(pid_of babelwg-dataplane)" = "$data_plane" ] && echo yes)"

sleep 5
say restarts-while-well "$(systemctl show --property NRestarts --value babelwg)"
kill -STOP "$(pid_of babelwg)"
timeout 30 sh -c 'until babelwg status; do sleep 0.2; done'
say asked-after-watchdog $?
say restarts "$(systemctl show --property NRestarts --value babelwg)"
say data-plane-after-watchdog "$([ "$(pid_of babelwg-dataplane)" = "$data_plane" ] && echo same)"

dpkg --remove babelwg
say removed "$(ls /sys/class/net | grep bw-)$(ip rule | grep 6696)$(ip -6 rule | grep 6696)"
say data-plane-removed "$([ -d /proc/$data_plane ] || echo yes)"
dpkg --purge babelwg
say purged "$(ls -d /etc/babelwg /var/lib/babelwg /run/babelwg 2>/dev/null)"
say end reached
"""


@pytest.fixture(scope="module")
def said(root: CleanRoot, package: Path) -> dict[str, str]:
    """What a container says that boots with the package, uses it and removes it."""
    if shutil.which("systemd-nspawn") is None:
        pytest.skip("systemd-nspawn: not installed")
    if not Path("/dev/net/tun").exists():
        pytest.skip("/dev/net/tun: no such device")
    shutil.copy(package, root.path / "babelwg.deb")
    (root.path / "probe").write_text(PROBE)
    (root.path / "etc/systemd/system/probe.service").write_text(PROBE_UNIT)
    root.run("systemctl", "enable", "probe.service")
    container = [
        "systemd-nspawn", "--boot", f"--directory={root.path}", "--private-network", "--register=no",
        "--keep-unit", "--bind=/dev/net/tun",
    ]  # fmt: skip
    boot = subprocess.run(
        container,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=BOOT_TIMEOUT,
        check=False,
    )
    if not (root.path / "said").exists():
        words = boot.stdout.decode(errors="replace").strip().splitlines()
        pytest.skip(f"systemd-nspawn: boots nothing here: {words[-1] if words else 'it said nothing'}")
    lines = (line.partition("=") for line in (root.path / "said").read_text().splitlines())
    found = {name: value for name, _, value in lines}
    assert found.get("end") == "reached", (root.path / "log").read_text()
    return found


def test_unit_is_enabled_and_waits_for_a_configuration(said: dict[str, str]) -> None:
    assert (said["enabled"], said["unconfigured"]) == ("enabled", "inactive")


def test_node_starts_with_what_it_needs_and_no_more(said: dict[str, str]) -> None:
    assert said["started"] == "0"
    assert said["status"] == "tunnels: 1, routes: 0"
    assert said["socket"] == "srw-rw---- root babelwg"
    assert said["capabilities"] == "0000000000003000"  # CAP_NET_ADMIN and CAP_NET_RAW
    assert said["forwarding"] == "1"
    assert said["data-plane-is-a-unit"] == "yes"
    assert said["web"] == "0"  # its packages are in the package, and run in the sandbox


def test_reload_fails_when_the_configuration_has_errors(said: dict[str, str]) -> None:
    assert (said["reloaded"], said["reloaded-with-errors"], said["still"]) == ("0", "1", "active")


def test_data_plane_outlives_a_restart_of_the_daemon(said: dict[str, str]) -> None:
    assert (said["restarted"], said["asked-after-restart"], said["same-data-plane"]) == ("0", "0", "yes")


def test_stuck_daemon_is_restarted_and_a_sound_one_is_not(said: dict[str, str]) -> None:
    assert (said["restarts-while-well"], said["restarts"]) == ("0", "1")
    assert (said["asked-after-watchdog"], said["data-plane-after-watchdog"]) == ("0", "same")


def test_removal_withdraws_and_purge_leaves_nothing(said: dict[str, str]) -> None:
    assert (said["removed"], said["data-plane-removed"], said["purged"]) == ("", "yes", "")
