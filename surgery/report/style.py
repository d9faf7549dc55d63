"""How a report looks: the studio's colours, light or dark as the reader's system is, and light on paper."""

from __future__ import annotations

from surgery.picture.inks import DARK, LIGHT, variables
from surgery.picture.pen import MONO, SANS

STYLE = (
    f"""
:root {{ color-scheme: light dark; {variables(LIGHT)} --sans: {SANS}; --mono: {MONO}; }}
@media screen and (prefers-color-scheme: dark) {{ :root {{ {variables(DARK)} }} }}
"""
    + """
* { box-sizing: border-box; }
html { background: var(--ground); }
body { margin: 0 auto; padding: 40px 32px 64px; max-width: 1120px; color: var(--ink);
  font: 14px/1.5 var(--sans); overflow-wrap: anywhere; }
h1 { margin: 4px 0 2px; font-size: 26px; line-height: 1.25; }
h2 { margin: 44px 0 12px; font-size: 12px; letter-spacing: 0.06em; text-transform: uppercase;
  color: var(--soft); }
p { margin: 0 0 10px; max-width: 78ch; }
code, pre { font: 12px/1.55 var(--mono); }
.over { margin: 0; color: var(--accent); font-size: 12px; font-weight: 600; }
.soft, .note { color: var(--soft); }
.note { margin-top: 8px; font-size: 12.5px; }
.lead { margin: 16px 0 0; font-size: 16px; }
.tiles { display: flex; flex-wrap: wrap; gap: 10px; margin: 22px 0 0; padding: 0; list-style: none; }
.tiles li { flex: 1 1 150px; padding: 10px 14px; background: var(--surface); border: 1px solid var(--line);
  border-radius: 10px; }
.tiles span { display: block; color: var(--soft); font-size: 12px; }
.tiles b { font-size: 16px; font-variant-numeric: tabular-nums; }
.tiles :is(b, i) { white-space: nowrap; }
.tiles i { color: var(--faint); font-style: normal; font-variant-numeric: tabular-nums; }
.better { color: var(--better); }
.worse { color: var(--worse); }
.none { color: var(--soft); }
.tiles small { display: block; font-size: 12px; font-variant-numeric: tabular-nums; }
figure { margin: 0 0 14px; padding: 14px 18px 10px; background: var(--ground); border: 1px solid var(--line);
  border-radius: 10px; }
figcaption { margin-bottom: 10px; font-weight: 600; }
figcaption span { color: var(--soft); font-weight: 400; }
.wide { overflow-x: auto; }
figure svg { display: block; max-width: 100%; height: auto; margin: 0 auto; }
ol { margin: 0; padding: 0; list-style: none; counter-reset: step; }
ol li { display: grid; grid-template-columns: 30px 1fr auto; column-gap: 8px; padding: 8px 0;
  border-top: 1px solid var(--line); counter-increment: step; }
ol li::before { content: counter(step); color: var(--faint); font-variant-numeric: tabular-nums; }
ol li div code { display: block; color: var(--soft); }
ol li aside { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
ol li aside small { display: block; color: var(--soft); }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { padding: 6px 10px 6px 0; text-align: right; vertical-align: baseline; }
th:first-child { text-align: left; }
td:last-child, th:last-child { padding-right: 0; }
thead th { color: var(--soft); font-size: 12px; font-weight: 400; }
tbody tr { border-top: 1px solid var(--line); }
tbody th { font-weight: 500; }
td small { display: block; color: var(--soft); white-space: nowrap; }
tr.here th { color: var(--accent); font-weight: 600; }
details { margin-top: 12px; }
summary { cursor: pointer; color: var(--accent); font-weight: 500; }
summary:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; border-radius: 3px; }
pre { margin: 8px 0 0; padding: 12px 14px; max-height: 460px; overflow: auto; white-space: pre-wrap;
  background: var(--calm); border-radius: 8px; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 5px 22px; margin: 0; }
dt { color: var(--soft); }
dd { margin: 0; }
@media (max-width: 640px) {
  body { padding: 24px 16px 40px; }
  dl { grid-template-columns: 1fr; gap: 0; }
  dd { margin-bottom: 8px; }
  .wide svg { max-width: none; }
}
@media print {
  @page { margin: 14mm; }
  html { background: none; }
  body { max-width: none; padding: 0; font-size: 10.5pt; }
  figure { padding: 8px 8px 4px; background: none; }
  h2 { margin-top: 24px; break-after: avoid; }
  figure, ol li, tr, .tiles li { break-inside: avoid; }
  .tiles li { flex-basis: 110px; }
  .wide { overflow: visible; }
  pre { max-height: none; overflow: visible; }
  details:not([open]) { display: none; }
}
"""
)
