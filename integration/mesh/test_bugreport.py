"""A report of a live node holds what explains a fault, and none of its keys."""

import base64
import stat
import subprocess
import tarfile
from collections.abc import Callable

from babelwg.babel.wire.mac import MacKey
from babelwg.cli.report.redaction import secrets_of
from babelwg.config import load
from babelwg.config.keys import generate_psk
from babelwg.lab.netns.mesh import Mesh

MAC_VALUE = "5a" * 32


def give_secrets(mesh: Mesh) -> None:
    """Give both nodes a preshared key with each other, and a a MAC key on its underlay."""
    shared = generate_psk()
    for name, peer in (("a", "b"), ("b", "a")):
        home = mesh.home(name)
        (home / "peer.psk").write_text(f"{shared}\n")
        (home / "peer.psk").chmod(0o600)
        path = home / "babelwg.toml"
        line = f'name = "{peer}"\n'
        path.write_text(path.read_text().replace(line, line + 'preshared-key-file = "peer.psk"\n'))
    path = mesh.home("a") / "babelwg.toml"
    path.write_text(path.read_text().replace("[babel]\n", '[babel]\nconfig = "babeld.conf"\n'))
    (mesh.home("a") / "babeld.conf").write_text(
        f"key id k type blake2s128 value {MAC_VALUE}\ninterface to-b type wired key k\n"
    )


def test_a_report_of_a_live_node_has_no_key_in_it(
    mesh: Callable[..., Mesh], needs: Callable[..., None]
) -> None:
    needs("nft", "wg", "ip")
    m = mesh("a b", "a-b", start=False, backend="embedded")
    give_secrets(m)
    m.start()
    m.wait("the mesh has converged", m.converged)
    home = m.home("a")
    target = home / "report.tar.gz"
    command = [*m.nodes["a"].entry(), *m.command(), "bugreport", "--socket", str(home / "control.sock")]
    done = subprocess.run(
        [*command, "-o", str(target)], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    with tarfile.open(target) as archive:
        files = {m.name.partition("/")[2]: archive.extractfile(m).read() for m in archive.getmembers()}  # type: ignore[union-attr]
    config = load(home / "babelwg.toml")
    hidden = secrets_of(config)
    assert bytes.fromhex(MAC_VALUE) in hidden
    assert config.peers[0].preshared_key is not None
    assert len(hidden) == 3
    assert isinstance(config.babel.babeld.keys[0] if config.babel.babeld else None, MacKey)
    whole = b"\n".join(files.values())
    for secret in hidden:
        assert secret not in whole
        assert base64.b64encode(secret) not in whole
        assert secret.hex().encode() not in whole.lower()
    assert b"bw-b" in files["system/ip-link.txt"]
    assert b"fd00:77::2" in files["system/ip-route-6-6696.txt"]
    assert str(config.peers[0].public_key).encode() in files["system/wg.txt"]
    assert b'"verdict"' in files["answers/doctor.json"]
    missing = [name for name, text in files.items() if name.startswith("answers/") and name.endswith(".txt")]
    assert missing == [], [files[name] for name in missing]
