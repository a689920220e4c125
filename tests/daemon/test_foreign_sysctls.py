"""A setting that another program changed is told; one of an interface that was made anew is not."""

from typing import Any

import pytest

from babelwg.daemon import kernelside
from babelwg.daemon.kernelside import KernelSide

FILTER = "ipv4/conf/bw-b/rp_filter"


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Return the settings of a kernel."""
    there: dict[str, str] = {}

    def apply(settings: dict[str, str]) -> tuple[dict[str, str], dict[str, str]]:
        changed = {name: there.get(name, "") for name, value in settings.items() if there.get(name) != value}
        there.update(settings)
        return changed, {}

    monkeypatch.setattr(kernelside, "apply_sysctls", apply)
    return there


def test_only_what_others_changed_is_told(kernel: dict[str, str]) -> None:
    nobody: Any = None
    side, told = KernelSide(nobody, nobody, 6696), []
    side.note = lambda event, text, cause=None, **fields: told.append((event, fields["setting"], cause))
    side.set_new_tunnel_sysctls(["bw-b"])
    side.set_tunnel_sysctls(["bw-b"])
    assert told == []
    kernel[FILTER] = "1"
    side.set_tunnel_sysctls(["bw-b"])
    assert told == [("sysctl-changed-by-another", FILTER, "another program set it to 1")]
    kernel[FILTER] = "2"
    kernel["ipv4/ip_forward"] = "0"
    side.set_new_tunnel_sysctls(["bw-b"])
    assert [setting for _, setting, _ in told[1:]] == ["ipv4/ip_forward"]
