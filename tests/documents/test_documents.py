"""What README.md and docs/ say is true: models parse, transcripts are real, links lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import gallery
import pages
import pytest

from optdsl.errors import OptError, OptSyntaxError
from optdsl.language import parse
from optdsl.model import build

OPT = [(page, block) for page in pages.PAGES for block in pages.blocks(page) if block.language == "opt"]
RUN = [page for page in pages.PAGES if {b.language for b in pages.blocks(page)} & {"console", "python"}]
LANGUAGES = {"opt", "csv", "console", "python", "py", "output", "sh", "json", "text", "ampl"}


@pytest.mark.parametrize(("page", "block"), OPT, ids=lambda v: v.name if isinstance(v, Path) else f"line-{v.line}")
def test_models_on_the_pages_parse(page: Path, block: pages.Block) -> None:
    name = f"{page.name}:{block.line}"
    if "wrong" in block.words:
        with pytest.raises(OptSyntaxError):
            parse(block.text, name)
        return
    try:
        tree = parse(block.text, name)
    except OptError as error:
        # A fragment may be data only; a whole model has something to solve.
        if "fragment" in block.words and {d.code for d in error.diagnostics} == {"nothing-to-solve"}:
            return
        raise
    assert tree.statements


FRAGMENTS = [(page, block) for page, block in OPT if "fragment" in block.words]


@pytest.mark.parametrize(
    ("page", "block"), FRAGMENTS, ids=lambda v: v.name if isinstance(v, Path) else f"line-{v.line}"
)
def test_fragments_lack_nothing_but_data(page: Path, block: pages.Block) -> None:
    """What a fragment may lack are the files that it names, data from outside, and names that the page declared."""
    try:
        build(parse(block.text, f"{page.name}:{block.line}"))
    except OptError as error:
        others = [d for d in error.diagnostics if d.code not in ("missing-file", "missing-data", "unknown-name")]
        assert not others, str(OptError(*others))


@pytest.mark.parametrize("page", RUN, ids=lambda page: page.name)
def test_transcripts_are_real(page: Path) -> None:
    for outcome in pages.run_page(page):
        where = f"{page.name}, line {outcome.block.line}"
        assert outcome.agrees, f"{where} says\n{outcome.expected}\nbut it is\n{outcome.actual}"


@pytest.mark.parametrize("page", pages.PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)\s]+)\)", pages.FENCE.sub("", text)):
        if not target.startswith(("http://", "https://")):
            name, _, anchor = target.partition("#")
            there = page.parent / name if name else page
            assert there.exists(), f"{page.name} links to {target}"
            if anchor and there.suffix == ".md":
                assert anchor in anchors(there), f"{page.name} links to {target}"


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings: lower case, without punctuation, words joined by hyphens."""
    headings = re.findall(r"^#+ (.+)$", pages.FENCE.sub("", page.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", pages.PAGES, ids=lambda page: page.name)
def test_blocks_are_of_a_known_kind(page: Path) -> None:
    assert {block.language for block in pages.blocks(page)} <= LANGUAGES


def test_the_comparison_can_fail() -> None:
    assert pages.matches("time 0.02 s\n", "time 1.5 s\n")
    assert pages.matches("  time   0.9 s\n", "  time   1.2 s (reading 0.2 s, solving 0.9 s)\n")
    assert pages.matches("a\n...\nz\n", "a\nb\nc\nz\n")
    assert pages.matches("residual 1e-16\n", "residual 2.3e-12\n")
    assert pages.matches("x  0.12345678\n", "x   0.12345679\n")
    assert not pages.matches("objective 44.3\n", "objective 44.4\n")
    assert not pages.matches("a\n...\nz\n", "a\nb\n")
    assert not pages.matches("a\n", "a\nb\n")


def test_every_example_of_the_gallery_has_its_picture() -> None:
    """Heading, model and picture go together, nothing else is in the folder, and files stay small."""
    names = gallery.names()
    text = gallery.GALLERY.read_text(encoding="utf-8")
    assert len(names) >= 12
    for name in names:
        assert f"## [{name}](../examples/{name}.opt)" in text
        assert re.search(rf"^!\[[^\]]+\]\(pictures/{name}\.png\)$", text, re.MULTILINE), name
        picture = gallery.PICTURES / f"{name}.png"
        assert picture.read_bytes().startswith(b"\x89PNG")
        assert picture.stat().st_size < 150_000
    assert {path.name for path in gallery.PICTURES.iterdir()} == {f"{name}.png" for name in names}


def test_a_picture_is_drawn_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gallery, "PICTURES", tmp_path)
    assert gallery.draw("saddle").read_bytes().startswith(b"\x89PNG")
