"""Draws the pictures of docs/gallery.md anew: `python tests/documents/gallery.py [NAME ...]`.

Each is what `optdsl solve examples/NAME.opt --plot docs/pictures/NAME.png` writes.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from pages import ROOT, SHELL, environment

GALLERY = ROOT / "docs" / "gallery.md"
PICTURES = ROOT / "docs" / "pictures"


def names() -> list[str]:
    """The examples that the gallery has a heading for, in its order."""
    return re.findall(r"^## \[(\w+)\]", GALLERY.read_text(encoding="utf-8"), re.MULTILINE)


def draw(name: str) -> Path:
    """Solves an example and writes its picture."""
    PICTURES.mkdir(exist_ok=True)
    path = PICTURES / f"{name}.png"
    words = ["solve", str(ROOT / "examples" / f"{name}.opt"), "--plot", str(path), "--quiet"]
    subprocess.run([sys.executable, "-c", SHELL, *words], env=environment(), check=True)
    return path


if __name__ == "__main__":
    for asked in sys.argv[1:] or names():
        print(draw(asked))
