"""Reports: every section, nothing from outside, nothing unescaped, and looked at in a real browser."""

from __future__ import annotations

import hashlib
import re
import shlex
import shutil
import subprocess
import sys
from html import escape
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

import optdsl
from optdsl.answer.report import report_html
from optdsl.answer.report_plot import MOST_POINTS, Axis, trace_figures
from optdsl.answer.solution import TraceTable
from optdsl.errors import OptionError

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
SECTIONS = ["answer", "convergence", "verdict", "data", "model", "repeat"]

EVIL = """# </code></ol><script>document.title = "broken"</script> & <b>bold</b>
set I = {"<script>x()</script>", "a&b", "quote'\\""}
param w[I] = 2
var x[I] >= 0
minimize f: sum(w[i]*x[i] for i in I) + sum(x[i]^2 for i in I)
subject to
  c[i in I]: x[i] >= w[i]
"""
BANANA = "var x init -1.2\nvar y init 1\nminimize f: 100*(y - x^2)^2 + (1 - x)^2\n"
LONG = "set I = 1..500\nvar x[I] >= 0\nminimize f: sum((x[i] - i)^2 for i in I)\nsubject to\n  c[i in I]: x[i] <= 300\n"


class Page(HTMLParser):
    """What a browser sees: elements that are open must be closed in order; ids, links, attributes, texts."""

    EMPTY = ("meta", "link", "br", "rect", "line", "polyline", "circle")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open, self.tags, self.ids, self.links, self.outside, self.texts = [], [], [], [], [], []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.tags.append(tag)
        if tag not in self.EMPTY:
            self.open.append(tag)
        if "id" in given:
            self.ids.append(given["id"])
        if tag == "a":
            self.links.append(given["href"])
        self.outside += [v for k, v in attributes if k in ("src", "href", "xlink:href") and not v.startswith("#")]
        assert not any(name.startswith("on") for name in given)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in self.EMPTY:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open and self.open.pop() == tag, f"</{tag}> closes nothing"

    def handle_data(self, data):
        self.texts.append(data)


def pages() -> dict[str, optdsl.Solution]:
    gradient = {"method": "gradient_descent", "options": {"max_iter": 40, "tol": 1e-12}}
    return {
        "diet": optdsl.load(EXAMPLES / "diet.opt").solve(),
        "infeasible": optdsl.load(EXAMPLES / "infeasible.opt").solve(),
        "unbounded": optdsl.load(EXAMPLES / "unbounded.opt").solve(),
        "stopped": optdsl.parse(BANANA).solve(**gradient),
        "evil": optdsl.parse(EVIL).solve(),
        "long": optdsl.parse(LONG).solve(),
    }


@pytest.fixture(scope="module")
def solutions() -> dict[str, optdsl.Solution]:
    return pages()


NAMES = ("diet", "infeasible", "unbounded", "stopped", "evil", "long")


@pytest.mark.parametrize("name", NAMES)
def test_the_page_is_whole_and_stands_alone(name, solutions):
    page = Page(report_html(solutions[name]))
    needed = [s for s in SECTIONS if s != "convergence"]
    assert [key for key in page.ids if key in needed] == needed
    assert len(page.ids) == len(set(page.ids))
    assert {link.removeprefix("#") for link in page.links} <= set(page.ids)
    assert page.outside == ["data:,"] and "script" not in page.tags
    assert page.tags.count("h1") == 1 and page.tags.count("main") == 1


def test_a_text_stays_text(solutions):
    text = report_html(solutions["evil"])
    page = Page(text)
    assert "<script>" not in text and "<b>" not in text
    said = "".join(page.texts)
    for piece in ('<script>document.title = "broken"</script>', "<script>x()</script>", "a&b", EVIL.splitlines()[0]):
        assert piece in said
    lines = re.findall(r'<li id="line-\d+"><code>(.*?)</code></li>', text)
    shown = ["".join(Page(f"<p>{line}</p>").texts) for line in lines]
    assert shown == EVIL.splitlines()


def test_everything_to_repeat_the_run(solutions):
    text = report_html(solutions["diet"])
    data = EXAMPLES / "data" / "diet" / "foods.csv"
    assert hashlib.sha256(data.read_bytes()).hexdigest() in text
    said = " ".join(Page(text).texts)
    assert "optdsl solve" in said and "highs" in said and optdsl.__version__ in said and "numpy" in said
    assert "food, cost" in said and "Proof of" in said and "44.33949802" in said and "reduced cost" in said


def test_the_command_repeats_what_was_given(tmp_path):
    path = tmp_path / "m.opt"
    path.write_text("param n\nset S\nvar x[S] >= n\nminimize f: sum(x[i] for i in S)\n")
    solution = optdsl.load(path).solve(n=2.5, S=["a", "b c"], method="highs", options={"tol": 1e-7}, time_limit=9)
    command = solution.origin.command
    wanted = ["--set n=2.5", """--set 'S=a,"b c"'""", "--method highs", "--opt tol=1e-07", "--time-limit 9"]
    assert all(part in command for part in wanted), command
    again = subprocess.run(
        [sys.executable, "-m", *shlex.split(command), "--quiet"],
        capture_output=True,
        text=True,
    )
    assert again.stdout.strip() == "m: optimal, f = 5"


def test_data_that_changed_since_is_said(tmp_path):
    (tmp_path / "d.csv").write_text("k,v\na,1\n")
    (tmp_path / "m.opt").write_text(
        'table t from "d.csv"\nset K from t(k)\nparam v[K] from t(k, v)\nvar x[K] >= 0\n'
        "minimize f: sum(x[i] for i in K)\nsubject to\n  c[i in K]: x[i] >= v[i]\n"
    )
    solution = optdsl.load(tmp_path / "m.opt").solve()
    assert "changed since the run" not in report_html(solution)
    (tmp_path / "d.csv").write_text("k,v\na,1\nb,2\n")
    assert "changed since the run" in report_html(solution)
    (tmp_path / "d.csv").write_text("nothing\n")
    assert "can no longer be examined" in report_html(solution)
    (tmp_path / "d.csv").unlink()
    assert "changed since the run" in report_html(solution)


def test_arrays_from_python_are_described():
    text = "param v[1..3]\nvar x >= 0\nminimize f: x\nsubject to\n  c[i in 1..3]: x >= v[i]\n"
    solution = optdsl.parse(text).solve(v=np.array([1.0, 5.0, 2.0]))
    said = " ".join(Page(report_html(solution)).texts)
    assert solution.origin.command is None and "array 3, from 1 to 5, SHA-256" in said


def test_what_does_not_hold_together_and_what_broke_off(solutions):
    assert "cannot hold together" in report_html(solutions["infeasible"])
    assert "endless improvement" in report_html(solutions["unbounded"])
    stopped = report_html(solutions["stopped"])
    assert 'id="diagnosis"' in stopped and "still converging" in stopped and "<polyline" in stopped
    assert "What breaks" in stopped and "witness" in stopped


def test_long_answers_are_shortened_with_totals(solutions):
    text = report_html(solutions["long"])
    assert text.count("40 of 500 entries are listed.") == 2  # x and c
    assert text.count('colspan="3">... 460 more</td>') == 2
    assert "<td>30</td>" in text and "<td>31</td>" not in text and "<td>490</td>" not in text and "<td>491</td>" in text
    totals = re.search(r"value: sum ([\d.]+), from ([\d.]+) to ([\d.]+), 500 not 0", text)
    assert tuple(map(float, totals.groups())) == pytest.approx((105150, 1, 300), rel=1e-4)
    assert len(text) < 100_000


def test_it_is_written_whole_or_not_at_all(tmp_path, solutions):
    place = tmp_path / "made" / "r.html"
    solutions["diet"].report(place)
    assert [entry.name for entry in place.parent.iterdir()] == ["r.html"]
    with pytest.raises(OptionError, match=r"does not end in \.html"):
        solutions["diet"].report(tmp_path / "r.pdf")
    (tmp_path / "folder.html").mkdir()
    with pytest.raises(OptionError, match="cannot write"):
        solutions["diet"].report(tmp_path / "folder.html")
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["folder.html", "made"]


# ------------------------------------------------------------------------------------------------------- curves


def test_curves_of_hard_traces():
    columns = ("epoch", "loss", "monitored", "rate", "gradient_norm")
    rows = np.full((5000, 5), np.nan)
    rows[:, 0] = np.arange(5000)
    rows[:, 1] = 1e6 * np.exp(-np.arange(5000) / 300)
    rows[100:200, 1] = np.nan
    rows[77, 1] = 3e7
    rows[:, 3] = 0.1  # one rate throughout is no picture
    figures = trace_figures(TraceTable(columns, rows), "loss")
    assert len(figures) == 1 and "logarithmic axis" in figures[0] and "over epochs" in figures[0]
    assert figures[0].count("<polyline") == 2  # a gap where there are no numbers
    assert figures[0].count(",") < 2 * MOST_POINTS + 60
    for text in figures:
        assert "nan" not in text and "inf" not in text
    places = [float(y) for part in re.findall(r'points="([^"]*)"', figures[0]) for y in re.findall(r",([\d.]+)", part)]
    assert min(places) < 40  # the peak of epoch 77 is still there
    assert trace_figures(TraceTable(columns, rows[:1]), "loss") == []
    assert trace_figures(TraceTable(columns, np.full((4, 5), np.nan)), "loss") == []
    negative = np.column_stack([np.arange(3), [-5.0, -7.0, -7.0], [np.inf] * 3, [0.0] * 3, [0.0] * 3])
    assert "logarithmic" not in trace_figures(TraceTable(columns, negative), "loss")[0]


@pytest.mark.parametrize("low, high", [(0, 1), (-3, 1e-9), (1e8, 1e8 + 3), (-1e-7, 1e-7)])
def test_ticks_are_few_and_inside(low, high):
    ticks = Axis(low, high, 0, 100).ticks()
    assert 2 <= len(ticks) <= 12
    assert all(low - 1e-9 <= value <= high + 1e-9 for value, _ in ticks)


# ------------------------------------------------------------------------------------------------------ a browser

MEASURE = """<script>
const page = document.documentElement;
const hidden = [...document.querySelectorAll("section")].filter(s => s.getBoundingClientRect().height < 20);
const out = [...document.querySelectorAll("section *")].filter(
  e => e.getBoundingClientRect().right > innerWidth + 1 && !e.closest(".wide, pre, .text"));
console.log("MEASURED " + [innerWidth, page.scrollWidth, hidden.length, out.length].join(" "));
</script>"""


def browse(page: Path, width: int, *arguments: str) -> str:
    """What the browser says of a page; its console is in it."""
    command = [BROWSER, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"]
    command += ["--hide-scrollbars", f"--user-data-dir={page.parent / 'profile'}", f"--window-size={width},1200"]
    command += ["--enable-logging=stderr", *arguments, page.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stderr


@pytest.mark.skipif(BROWSER is None, reason="no browser is installed")
@pytest.mark.parametrize("width", [400, 1400])
@pytest.mark.parametrize("name", ["stopped", "evil", "diet"])
def test_in_a_browser(name, width, solutions, tmp_path):
    text = report_html(solutions[name])
    page = tmp_path / "page.html"
    page.write_text(text, encoding="utf-8")
    assert "CONSOLE" not in browse(page, width, f"--screenshot={tmp_path / 'page.png'}")
    assert (tmp_path / "page.png").stat().st_size > 5_000
    # The page itself forbids scripts: a copy that allows one is measured, in a frame, as windows have a least width.
    measured = tmp_path / "measured.html"
    open_ = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", text)
    open_ = open_.replace("</body>", f"{MEASURE}</body>")
    style = f'style="width: {width}px; height: 4000px; border: 0"'
    frame = f'<!doctype html><body style="margin: 0"><iframe {style} srcdoc="{escape(open_, quote=True)}"></iframe>'
    measured.write_text(frame, encoding="utf-8")
    said = browse(measured, width, f"--screenshot={tmp_path / 'measured.png'}")
    found = re.search(r"MEASURED (\d+) (\d+) (\d+) (\d+)", said)
    inner, whole, hidden, outside = map(int, found.groups())
    assert inner == width and whole <= width and hidden == 0 and outside == 0


@pytest.mark.skipif(BROWSER is None, reason="no browser is installed")
def test_on_paper_and_without_scripts(solutions, tmp_path):
    page = tmp_path / "page.html"
    page.write_text(report_html(solutions["evil"]), encoding="utf-8")
    browse(page, 1400, f"--print-to-pdf={tmp_path / 'page.pdf'}")
    assert (tmp_path / "page.pdf").read_bytes().startswith(b"%PDF")
    page.write_text(report_html(solutions["evil"]).replace("</body>", f"{MEASURE}</body>"), encoding="utf-8")
    said = browse(page, 1400, f"--screenshot={tmp_path / 'p.png'}")
    assert "MEASURED" not in said and "Content Security Policy" in said  # what a page should never hold does not run
