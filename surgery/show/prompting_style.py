"""How answers and blame look in a notebook: one hue, told apart by lightness and by the line below."""

from __future__ import annotations

STYLE = """<style>
.surgery-ask {
  --ink: var(--jp-content-font-color1, #1c2430); --soft: var(--jp-content-font-color2, #5b6675);
  --ground: var(--jp-layout-color0, #ffffff); --rule: var(--jp-border-color2, #e3e6eb);
  --tint: 230, 159, 0; --line: #9a5b00; --worse: #c2410c; --calm: #0b7a53;
  --t1: .14; --t2: .3; --t3: .5; --t4: .75;
  color: var(--ink); background: var(--ground); padding: 8px 12px; max-width: 72em; overflow-x: auto;
  font: 13px/1.5 var(--jp-ui-font-family, system-ui, -apple-system, "Segoe UI", Roboto, sans-serif);
}
@media (prefers-color-scheme: dark) {
  .surgery-ask {
    --ink: var(--jp-content-font-color1, #e8ecf2); --soft: var(--jp-content-font-color2, #a4afbd);
    --ground: var(--jp-layout-color0, #1b1f26); --rule: var(--jp-border-color2, #343b47);
    --line: #ffc15c; --worse: #ff9d66; --calm: #45c792; --t1: .1; --t2: .2; --t3: .32; --t4: .46;
  }
}
.surgery-ask p { margin: 4px 0; color: var(--soft); }
.surgery-ask .surgery-said { color: var(--ink); font-family: var(--jp-code-font-family, monospace); }
.surgery-two { display: grid; grid-template-columns: 1fr 1fr; gap: 16px; }
.surgery-two h4 { margin: 4px 0; font-size: 12px; font-weight: 600; color: var(--soft); }
.surgery-two p { color: var(--ink); font-family: var(--jp-code-font-family, monospace); line-height: 1.75; }
.surgery-ask [class^=surgery-kl] { border-bottom: 0 solid var(--line); border-radius: 2px; padding: 1px 0; }
.surgery-ask .surgery-kl1 { background: rgba(var(--tint), var(--t1)); }
.surgery-ask .surgery-kl2 { background: rgba(var(--tint), var(--t2)); border-bottom-width: 1px; }
.surgery-ask .surgery-kl3 { background: rgba(var(--tint), var(--t3)); border-bottom-width: 2px; }
.surgery-ask .surgery-kl4 { background: rgba(var(--tint), var(--t4)); border-bottom-width: 3px; }
.surgery-ask [data-first]::before { content: "▸"; color: var(--worse); }
.surgery-legend span { padding: 1px 6px !important; margin-left: 2px; font-size: 11px; color: var(--ink); }
.surgery-ask table { border-collapse: collapse; margin: 6px 0; font-variant-numeric: tabular-nums; }
.surgery-ask th, .surgery-ask td { padding: 2px 12px 2px 0; text-align: right; font-weight: 400; }
.surgery-ask th:first-child { text-align: left; white-space: nowrap; }
.surgery-ask td.surgery-refused { text-align: left; color: var(--soft); }
.surgery-ask thead th { color: var(--soft); font-size: 12px; border-bottom: 1px solid var(--rule); }
.surgery-bar { position: relative; width: 140px; height: 12px; }
.surgery-bar i { position: absolute; top: 1px; bottom: 1px; border-radius: 2px; background: var(--worse); }
.surgery-bar i.surgery-less { background: var(--calm); }
.surgery-bar b { position: absolute; top: -3px; bottom: -3px; width: 1px; background: var(--soft); }
</style>"""
