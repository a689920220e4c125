"""The Debian package in a clean root: installed, used by root and by the group, removed, purged."""

from pathlib import Path

import pytest

from integration.packaging.conftest import CleanRoot

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

# The daemon with no more rights than its unit has; the shell ends when everything has been asked.
ASK_THE_DAEMON = """
mkdir -p /run/babelwg /var/lib/babelwg
setpriv --bounding-set=-all,+net_admin,+net_raw --no-new-privs --groups=babelwg babelwg daemon 2>/tmp/log &
daemon=$!
until babelwg status >/dev/null 2>&1; do
    kill -0 $daemon || { cat /tmp/log; exit 1; }
    sleep 0.1
done
echo "member reads: $(runuser -u member -- babelwg version) $(runuser -u member -- babelwg show peers -o tsv | wc -l)"
runuser -u member -- babelwg stop; echo "member stops: $?"
runuser -u member -- babelwg reload; echo "member reloads: $?"
runuser -u stranger -- babelwg status; echo "stranger reads: $?"
stat -c 'socket: %A %U %G' /run/babelwg/control.sock
ls /run/wireguard
babelwg status
babelwg stop --withdraw; echo "root stops: $?"
wait $daemon; echo "daemon ends: $?"
"""


@pytest.fixture(scope="module")
def before(root: CleanRoot) -> set[str]:
    """The files of the clean root."""
    return root.files()


@pytest.fixture(scope="module")
def installed(root: CleanRoot, package: Path, before: set[str]) -> CleanRoot:
    """The clean root with the package in it."""
    assert before
    (root.path / package.name).write_bytes(package.read_bytes())
    root.run("dpkg", "--install", f"/{package.name}")
    (root.path / package.name).unlink()
    return root


def test_program_runs_from_the_package_and_writes_nothing_beside_it(installed: CleanRoot) -> None:
    files = installed.files()
    assert installed.run("babelwg", "version").stdout.startswith("babelwg ")
    installed.run("sh", "-c", "cd /tmp; mkdir babelwg; touch babelwg/__init__.py; babelwg show --help")
    assert {file for file in installed.files() - files if not file.startswith("tmp/")} == set()


def test_group_and_configuration_have_their_owners(installed: CleanRoot) -> None:
    assert "babelwg:" in installed.run("getent", "group", "babelwg").stdout
    assert installed.run("stat", "-c", "%a %U %G", "/etc/babelwg").stdout == "750 root babelwg\n"


def test_units_are_understood_and_enabled(installed: CleanRoot) -> None:
    installed.run("systemd-analyze", "verify", "babelwg.service", "babelwg-dataplane.service")
    assert installed.run("systemctl", "is-enabled", "babelwg.service").stdout == "enabled\n"


def test_manual_is_found(installed: CleanRoot) -> None:
    assert installed.run("man", "-w", "babelwg").stdout == "/usr/share/man/man1/babelwg.1.gz\n"
    for page in ("babelwg-route-get", "babelwg.toml"):
        installed.run("man", "-w", page)


def test_table_is_known_by_name(installed: CleanRoot) -> None:
    shown = installed.run("sh", "-c", "ip rule add from 192.0.2.1 lookup 6696 && ip rule")
    assert "from 192.0.2.1 lookup babelwg" in shown.stdout


def test_first_steps_go_as_the_documents_say(installed: CleanRoot) -> None:
    assert "name        alpha\n" in installed.run("babelwg", "init", "--name", "alpha").stdout
    assert installed.run("babelwg", "check-config").stdout.endswith("ok, node alpha, 0 peers\n")
    assert installed.run("stat", "-c", "%a", "/etc/babelwg/node.key").stdout == "600\n"


def test_group_reads_and_only_root_changes(installed: CleanRoot) -> None:
    if not Path("/dev/net/tun").exists():
        pytest.skip("/dev/net/tun: no such device")
    for user, groups in {"member": ["--groups", "babelwg"], "stranger": []}.items():
        installed.run("useradd", *groups, user)
    peer = installed.run("sh", "-c", "babelwg genkey | babelwg pubkey").stdout.strip()
    text = f'name = "bravo"\npublic-key = "{peer}"\nbackend = "embedded"\n'
    (installed.path / "etc/babelwg/peers.d/bravo.toml").write_text(text)
    said = installed.run("timeout", "60", "sh", "-c", ASK_THE_DAEMON).stdout
    assert "member reads: babelwg" in said
    for line in (
        "member stops: 4",
        "member reloads: 4",
        "stranger reads: 4",
        "socket: srw-rw---- root babelwg",
        "bw-bravo.sock",
        "root stops: 0",
        "daemon ends: 0",
    ):
        assert f"{line}\n" in said, said


def test_upgrade_keeps_what_the_operator_changed(installed: CleanRoot, package: Path) -> None:
    key = (installed.path / "etc/babelwg/node.key").read_text()
    installed.run("sh", "-c", "groupadd wardens && chgrp wardens /etc/babelwg && chmod 2750 /etc/babelwg")
    tables = installed.path / "etc/iproute2/rt_tables.d/babelwg.conf"
    tables.write_text("6697\tbabelwg\n")
    installed.run("systemctl", "disable", "babelwg.service")
    (installed.path / package.name).write_bytes(package.read_bytes())
    installed.run("dpkg", "--install", f"/{package.name}")
    (installed.path / package.name).unlink()
    assert installed.run("stat", "-c", "%a %G", "/etc/babelwg").stdout == "2750 wardens\n"
    assert tables.read_text() == "6697\tbabelwg\n"
    assert (installed.path / "etc/babelwg/node.key").read_text() == key
    assert installed.run("systemctl", "is-enabled", "babelwg.service", check=False).stdout == "disabled\n"
    # A second removal of what is removed already, and a new beginning, go as the first ones.
    installed.run("dpkg", "--remove", "babelwg")
    (installed.path / package.name).write_bytes(package.read_bytes())
    installed.run("dpkg", "--install", f"/{package.name}")
    (installed.path / package.name).unlink()
    assert installed.run("babelwg", "check-config").stdout.endswith("ok, node alpha, 1 peer\n")


def test_removal_keeps_what_is_the_operators_and_purge_leaves_nothing(
    installed: CleanRoot, before: set[str]
) -> None:
    installed.run("dpkg", "--remove", "babelwg")
    assert (installed.path / "etc/babelwg/node.key").exists()
    assert not (installed.path / "usr/lib/babelwg").exists()
    installed.run("dpkg", "--purge", "babelwg")
    installed.run("userdel", "member", check=False)
    installed.run("userdel", "stranger", check=False)
    # What useradd and `man` keep for themselves is none of ours.
    left = installed.files() - before
    ours = {file for file in left if "babelwg" in file and not file.startswith("var/cache/man/")}
    assert ours == set()
    assert installed.run("getent", "group", "babelwg", check=False).returncode != 0
