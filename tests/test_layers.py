"""The import table of the architecture: which part may import which, and what from outside."""

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent / "babelwg"
CORES = {"babel", "wireguard", "membership"}
PARTS = {
    "babel": {"babel"},
    "wireguard": {"wireguard"},
    "membership": {"membership"},
    "config": {"config", "babel", "wireguard"},
    "linux": {"linux", "config", "babel", "wireguard"},
    "dataplane": {"dataplane", "wireguard", "linux"},
    "lab": {"lab", "babel", "wireguard", "membership", "linux", "config"},
    "daemon": {"daemon", "babel", "wireguard", "membership", "config", "linux"},
    "cli": {"cli", "config", "lab", "daemon"},
}
OUTSIDE = {
    "babel": {"netaddr"},
    "wireguard": {"netaddr", "nacl"},
    "membership": {"netaddr", "nacl"},
    "config": {"netaddr", "tomlkit", "msgspec", "nacl"},
    "linux": {"pyroute2"},
    "dataplane": {"cffi", "numpy", "nacl"},
    "lab": set(),
    "daemon": {"aiofiles", "msgspec", "aiohttp"},
    "cli": {"click", "rich", "segno"},
}
CORE_FORBIDDEN = {
    "asyncio",
    "socket",
    "time",
    "os",
    "logging",
    "threading",
    "select",
    "subprocess",
    "selectors",
}
# linux modules that the data plane may share: they import neither pyroute2 nor asyncio.
SHARED_WITH_DATAPLANE = {"babelwg.linux.tun", "babelwg.linux.sockets"}


def imports_of(path: Path) -> set[str]:
    """Return every dotted module name that a file imports, including those inside functions."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            assert node.module is not None
            found.add(node.module)
            if node.module.startswith("babelwg"):
                found.update(f"{node.module}.{alias.name}" for alias in node.names)
    return found


def modules() -> list[Path]:
    return sorted(ROOT.rglob("*.py"))


def part_of(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(ROOT)))
def test_module_imports_only_what_its_part_may(path: Path) -> None:
    part = part_of(path)
    if part not in PARTS:
        assert part in {"__init__", "__main__", "version"}
        return
    for name in imports_of(path):
        top = name.split(".")[0]
        if top == "babelwg":
            pieces = name.split(".")
            if len(pieces) > 1 and pieces[1] not in ("version", "__version__"):
                assert pieces[1] in PARTS[part], f"{path}: {part} may not import {name}"
        elif top not in sys.stdlib_module_names:
            assert top in OUTSIDE[part], f"{path}: {part} may not import {top}"
        elif part in CORES:
            assert top not in CORE_FORBIDDEN, f"{path}: a core may not import {top}"


def test_dataplane_shares_only_tun_and_sockets_with_linux() -> None:
    for path in (ROOT / "dataplane").rglob("*.py"):
        for name in imports_of(path):
            if name.startswith("babelwg.linux") and name != "babelwg.linux":
                assert any(name == m or name.startswith(m + ".") for m in SHARED_WITH_DATAPLANE), (
                    f"{path}: {name}"
                )
    for module in ("tun", "sockets"):
        path = ROOT / "linux" / f"{module}.py"
        assert not imports_of(path) & {"pyroute2", "asyncio"}, f"{path} must stay light"


def test_nacl_is_imported_in_one_crypto_module_per_core() -> None:
    for core in CORES & {p.name for p in ROOT.iterdir()}:
        users = [
            p for p in (ROOT / core).rglob("*.py") if any(i.split(".")[0] == "nacl" for i in imports_of(p))
        ]
        assert len(users) <= 1, users


def test_only_the_lab_uses_a_seeded_random_generator() -> None:
    # `random.Random` as a type is fine in a core; making one is not.
    for path in modules():
        if part_of(path) == "lab":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name | ast.Attribute):
                name = node.func.id if isinstance(node.func, ast.Name) else node.func.attr
                assert name != "Random", f"{path}:{node.lineno} makes a predictable generator"


def test_cli_imports_only_the_application_of_the_daemon() -> None:
    for path in (ROOT / "cli").rglob("*.py"):
        for name in imports_of(path):
            if name.startswith("babelwg.daemon"):
                assert name in {"babelwg.daemon", "babelwg.daemon.app"} or name.startswith(
                    "babelwg.daemon.app."
                ), f"{path}: {name}"
