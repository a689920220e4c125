"""What the package brings for the system: units that systemd understands, files that keep others off tunnels."""

import re
import shutil
import subprocess
from configparser import RawConfigParser
from pathlib import Path

import pytest

import babelwg
from babelwg.config.model import DEFAULT_TABLE
from babelwg.linux.sysctls import desired_sysctls

SHARE = Path(babelwg.__file__).parent / "share"
UNITS = sorted((SHARE / "systemd").glob("*.service"))
MAX_EXPOSURE = 30  # tenths; a service without any sandbox has 96


def read(path: Path) -> RawConfigParser:
    parser = RawConfigParser(strict=False)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(path.read_text())
    return parser


@pytest.fixture
def needs_systemd() -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze: not installed")


@pytest.mark.usefixtures("needs_systemd")
def test_units_are_understood(tmp_path: Path) -> None:
    for unit in UNITS:
        # The programs need not be installed where this is tested.
        text = re.sub(r"^(Exec\w+=)babelwg[a-z-]*", r"\1/bin/true", unit.read_text(), flags=re.MULTILINE)
        (tmp_path / unit.name).write_text(text)
    copies = [str(tmp_path / unit.name) for unit in UNITS]
    result = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *copies], capture_output=True, text=True, check=False
    )
    ours = [line for line in result.stderr.splitlines() if "babelwg" in line]
    assert (result.returncode, ours) == (0, [])


@pytest.mark.usefixtures("needs_systemd")
@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.stem)
def test_units_expose_little(unit: Path) -> None:
    result = subprocess.run(
        [
            "systemd-analyze", "security", "--offline=true", "--no-pager", f"--threshold={MAX_EXPOSURE}",
            str(unit),
        ],
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.stem)
def test_units_may_administer_the_network_and_nothing_else(unit: Path) -> None:
    service = read(unit)["Service"]
    assert service["CapabilityBoundingSet"] == "CAP_NET_ADMIN CAP_NET_RAW"
    assert service["NoNewPrivileges"] == "yes"
    assert service["ProtectSystem"] == "strict"


def test_data_plane_outlives_the_daemon() -> None:
    daemon, data_plane = (
        read(SHARE / "systemd" / f"{name}.service") for name in ("babelwg", "babelwg-dataplane")
    )
    assert daemon["Service"]["KillMode"] == "process"
    assert daemon["Service"]["Environment"] == "BABELWG_DATAPLANE_UNIT=babelwg-dataplane.service"
    assert daemon["Service"]["RuntimeDirectoryPreserve"] == "yes"
    for word in ("BindsTo", "PartOf", "Requires", "Requisite", "StopWhenUnneeded", "PropagatesStopTo"):
        assert word not in daemon["Unit"]
        assert word not in data_plane["Unit"]


def test_sysctls_are_those_that_the_daemon_sets() -> None:
    lines = (SHARE / "sysctl.d/60-babelwg.conf").read_text().splitlines()
    written = dict(line.split(" = ") for line in lines if line and not line.startswith("#"))
    for name, value in desired_sysctls(["bw-*"]).items():
        assert written[f"net.{name.replace('/', '.')}"] == value


def test_table_has_its_name() -> None:
    assert f"{DEFAULT_TABLE}\tbabelwg\n" in (SHARE / "rt_tables.d/babelwg.conf").read_text()


@pytest.mark.parametrize(
    ("file", "section", "key", "value"),
    [
        ("networkd/10-babelwg.network", "Match", "Name", "bw-*"),
        ("networkd/10-babelwg.network", "Link", "Unmanaged", "yes"),
        ("networkd/50-babelwg.conf", "Network", "ManageForeignRoutes", "no"),
        ("networkd/50-babelwg.conf", "Network", "ManageForeignRoutingPolicyRules", "no"),
    ],
)
def test_systemd_networkd_leaves_us_alone(file: str, section: str, key: str, value: str) -> None:
    assert read(SHARE / file)[section][key] == value


def test_network_manager_leaves_tunnels_alone_beside_what_others_say() -> None:
    text = (SHARE / "NetworkManager/50-babelwg.conf").read_text()
    assert "\n[keyfile]\nunmanaged-devices+=interface-name:bw-*\n" in text
