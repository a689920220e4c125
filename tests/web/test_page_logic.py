"""The page's own logic, run by node where it is installed."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent
STATIC = HERE.parent.parent / "babelwg" / "daemon" / "web" / "static"


@pytest.mark.parametrize(
    "path", sorted(HERE.glob("*.test.mjs")), ids=lambda path: path.name.partition(".")[0]
)
def test_logic_of_the_page(path: Path) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("node: not installed")
    ended = subprocess.run(
        [node, "--test", str(path)], capture_output=True, text=True, timeout=240, check=False
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr


@pytest.mark.parametrize("path", sorted(STATIC.rglob("*.mjs")), ids=lambda path: path.name)
def test_page_never_takes_text_for_markup(path: Path) -> None:
    text = path.read_text()
    for word in (
        "innerHTML",
        "outerHTML",
        "insertAdjacent",
        "document.write",
        "eval(",
        "new Function",
        "srcdoc",
        ".href =",
    ):
        assert word not in text, f"{path.name} uses {word}"


def test_page_has_nothing_inline() -> None:
    text = (STATIC / "index.html").read_text()
    assert "style=" not in text
    assert re.search(r"\son[a-z]+=", text) is None
    assert text.count("<script") == 1
    assert '<script type="module" src="/js/main.mjs"></script>' in text
