"""How a report looks: light and dark, on a phone, a desk and on paper. No script, no font, nothing from outside."""

STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --soft: #57606a; --paper: #ffffff; --panel: #f4f6f8; --line: #d5dae0;
  --good: #1a6b34; --warn: #855000; --bad: #a11a22; --link: #0a57b0; --c1: #1f5fa8; --c2: #b54a10; --c3: #2f7d32;
  --c4: #7b3fa0; --c5: #8a6d00; --word: #0a3f8f; --string: #106038; --number: #7d3c00; --label: #6a2c91; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ed; --soft: #a3acb7; --paper: #14171b; --panel: #1e2329;
  --line: #3a424c; --good: #6fd58c; --warn: #f0b65a; --bad: #ff8d8d; --link: #7db6ff; --c1: #6fb0ff; --c2: #ff9a5c;
  --c3: #74d07a; --c4: #d29bf5; --c5: #e6c84a; --word: #8fbcff; --string: #7fd6a4; --number: #f2b179;
  --label: #d7a5f5; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1rem clamp(.75rem, 3vw, 2rem) 3rem; max-width: 72rem; color: var(--ink);
  background: var(--paper); font: 16px/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { margin: .5rem 0 .25rem; font-size: 1.7rem; } h2 { margin: 2rem 0 .5rem; font-size: 1.25rem;
  border-bottom: 1px solid var(--line); padding-bottom: .2rem; } h3 { margin: 1.2rem 0 .4rem; font-size: 1rem; }
a { color: var(--link); } small, .soft { color: var(--soft); font-size: .875em; }
nav ul { display: flex; flex-wrap: wrap; gap: .25rem 1rem; padding: 0; margin: .5rem 0; list-style: none; }
.status { font-size: 1.1rem; margin: .25rem 0; padding: .5rem .75rem; border-left: .3rem solid var(--warn);
  background: var(--panel); } .status.good { border-color: var(--good); } .status.bad { border-color: var(--bad); }
.status strong { color: var(--warn); } .status.good strong { color: var(--good); }
.status.bad strong { color: var(--bad); }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1rem; margin: .75rem 0; }
dt { color: var(--soft); } dd { margin: 0; min-width: 0; }
.wide { overflow-x: auto; margin: .5rem 0; }
.wide:focus-visible, summary:focus-visible { outline: 2px solid var(--link); }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
caption { text-align: left; font-weight: 600; padding: .3rem 0; }
th, td { padding: .2rem .7rem .2rem 0; text-align: left; vertical-align: top; border-bottom: 1px solid var(--line);
  overflow-wrap: normal; } th { color: var(--soft); font-weight: 600; }
td.n, th.n { text-align: right; white-space: nowrap; } .more td { color: var(--soft); font-style: italic; }
.hash { display: inline-block; font: .75rem/1.7 ui-monospace, monospace; overflow-wrap: anywhere; min-width: 11rem; }
.tables { display: flex; flex-wrap: wrap; gap: .5rem 2.5rem; align-items: start; } .tables > * { max-width: 100%; }
details { margin: .3rem 0; } summary { cursor: pointer; } details > :not(summary) { margin-left: 1rem; }
pre, .text { font: .84rem/1.5 ui-monospace, SFMono-Regular, Menlo, monospace; background: var(--panel);
  border: 1px solid var(--line); border-radius: .3rem; padding: .6rem; overflow-x: auto; overflow-wrap: normal; }
.text { list-style: none; counter-reset: line; padding-left: 0; margin: .5rem 0; }
.text li { counter-increment: line; white-space: pre; padding-right: 1rem; width: max-content; min-width: 100%; }
.text li::before { content: counter(line); display: inline-block; width: 3.2em; padding-right: 1em; text-align: right;
  color: var(--soft); } .text li:target { background: color-mix(in srgb, var(--warn) 25%, transparent); }
code { font-family: ui-monospace, SFMono-Regular, Menlo, monospace; font-size: .95em; }
.comment { color: var(--soft); font-style: italic; } .word { color: var(--word); font-weight: 600; }
.string { color: var(--string); } .number { color: var(--number); } .label { color: var(--label); }
.finding { border-left: .25rem solid var(--line); padding: .1rem 0 .1rem .75rem; margin: .75rem 0; }
.finding p { margin: .1rem 0; } .finding .advice::before { content: "\\2192\\00a0"; }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 24rem), 1fr)); gap: 1rem; }
figure { margin: 0; min-width: 0; } figcaption { font-weight: 600; } svg { width: 100%; height: auto; display: block; }
.frame { fill: none; stroke: var(--line); } .grid { stroke: var(--line); stroke-width: .6; }
.tick { fill: var(--soft); font-size: 11px; } .curve { fill: none; stroke: currentColor; stroke-width: 1.8; }
.mark { fill: currentColor; } .curve-1 { color: var(--c1); } .curve-2 { color: var(--c2); stroke-dasharray: 6 3; }
.curve-3 { color: var(--c3); stroke-dasharray: 2 3; } .curve-4 { color: var(--c4); stroke-dasharray: 9 3 2 3; }
.curve-5 { color: var(--c5); stroke-dasharray: 1 4; } circle.mark { stroke-dasharray: none; }
.legend { display: flex; flex-wrap: wrap; gap: 0 1rem; list-style: none; padding: 0; margin: .2rem 0;
  font-size: .875rem; }
.key { display: inline-block; width: 1.4em; margin-right: .4em; border-top: 3px solid currentColor;
  vertical-align: .25em; }
.key.curve-2 { border-top-style: dashed; } .key.curve-3 { border-top-style: dotted; }
@media (max-width: 40rem) { dl { grid-template-columns: 1fr; gap: 0; } dd { margin-bottom: .5rem; } }
@media print { body { max-width: none; font-size: 10pt; padding: 0; } nav { display: none; }
  section { break-inside: auto; } h2, h3, caption { break-after: avoid; } figure, tr, .finding { break-inside: avoid; }
  .text li { white-space: pre-wrap; width: auto; } .wide, pre, .text { overflow: visible; }
  details::details-content { content-visibility: visible; display: block; }
  a { color: inherit; text-decoration: none; } }
"""
