"""The messages about wrong models, word for word: `tests/golden/model`.

Each `NAME.opt` there has its messages in `NAME.txt`; `OPTDSL_UPDATE_GOLDEN=1` writes them anew.
"""

import os
import re
from pathlib import Path

import pytest

from .wrong_models import GOLDEN, MODELS, mistakes


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
def test_messages(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(GOLDEN)
    found = f"{mistakes(path)}\n"
    expected = path.with_suffix(".txt")
    if os.environ.get("OPTDSL_UPDATE_GOLDEN"):
        expected.write_text(found, encoding="utf-8")
    assert found == expected.read_text(encoding="utf-8")


def test_every_message_has_a_hint_and_only_the_users_names() -> None:
    for path in sorted(GOLDEN.glob("*.txt")):
        for message in path.read_text(encoding="utf-8").split("\n\n"):
            assert "\n  hint: " in message, (path.name, message)
            assert not re.search(r"[\w})\]]#\d", message), (path.name, message)
