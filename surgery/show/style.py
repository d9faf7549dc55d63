"""How trees and tables look in a notebook: in JupyterLab's colours, elsewhere in light or dark ones."""

STYLE = """<style>
.surgery-tree {
  --ink: var(--jp-content-font-color1, #1c2430);
  --soft: var(--jp-content-font-color2, #5b6675);
  --ground: var(--jp-layout-color0, #ffffff);
  --hover: var(--jp-layout-color2, #f0f2f5);
  --rule: var(--jp-border-color2, #e3e6eb);
  --tie: var(--jp-brand-color0, #4f46e5);
  --warn: var(--jp-warn-color0, #b45309);
  --error: var(--jp-error-color1, #c2261c);
  box-sizing: border-box; max-width: 64em; padding: 6px 10px 8px 4px; overflow-x: auto;
  color: var(--ink); background: var(--ground);
  font: 13px/1.5 var(--jp-ui-font-family, system-ui, -apple-system, "Segoe UI", Roboto, sans-serif);
}
@media (prefers-color-scheme: dark) {
  .surgery-tree {
    --ink: var(--jp-content-font-color1, #e8ecf2);
    --soft: var(--jp-content-font-color2, #a4afbd);
    --ground: var(--jp-layout-color0, #1b1f26);
    --hover: var(--jp-layout-color2, #2a303b);
    --rule: var(--jp-border-color2, #343b47);
    --tie: var(--jp-brand-color0, #a5a6ff);
    --warn: var(--jp-warn-color0, #f0b45a);
    --error: var(--jp-error-color1, #ff8a7a);
  }
}
.surgery-tree details, .surgery-tree summary { margin: 0; padding: 0; }
.surgery-tree summary { display: block; list-style: none; cursor: pointer; }
.surgery-tree summary::-webkit-details-marker { display: none; }
.surgery-tree summary:focus-visible { outline: 2px solid var(--tie); outline-offset: -2px; }
.surgery-row {
  display: grid; grid-template-columns: minmax(160px, 1fr) var(--columns); column-gap: 4px;
  position: relative; align-items: baseline; padding: 1px 8px 1px 22px; border-radius: 3px;
}
.surgery-row > span { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
.surgery-row > .surgery-name {
  display: flex; gap: 8px; align-items: baseline; min-width: 0; text-align: left;
}
.surgery-row:hover { background-color: var(--hover); }
.surgery-head { color: var(--soft); font-size: 12px; border-bottom: 1px solid var(--rule); border-radius: 0; }
.surgery-head:hover { background: none; }
.surgery-name b { font-weight: 600; overflow: hidden; text-overflow: ellipsis; flex: 0 1 auto; }
.surgery-class { color: var(--soft); overflow: hidden; text-overflow: ellipsis; flex: 0 1000 auto; }
summary > .surgery-row::before, .surgery-ties > summary::before {
  content: ""; position: absolute; left: 9px; top: 0.62em; width: 5px; height: 5px;
  border: solid var(--soft); border-width: 0 1.5px 1.5px 0; transform: rotate(-45deg);
}
details[open] > summary > .surgery-row::before, .surgery-ties[open] > summary::before {
  transform: rotate(45deg); top: 0.5em;
}
.surgery-inside { margin-left: 11px; padding-left: 7px; border-left: 1px solid var(--rule); }
.surgery-rest { padding: 1px 8px 1px 22px; color: var(--soft); font-style: italic; }
.surgery-within { display: contents; }
details[open] > summary .surgery-within { display: none; }
.surgery-mark {
  flex: 0 0 auto; overflow: hidden; text-overflow: ellipsis; padding: 0 7px;
  background: var(--ground); border: 1px solid; border-radius: 9px; font-size: 11px; line-height: 16px;
}
.surgery-mark-tie { color: var(--tie); }
.surgery-mark-opaque { color: var(--warn); flex: 1 1 6em; max-width: max-content; }
.surgery-mark-problem { color: var(--error); flex: 1 1 6em; max-width: max-content; font-weight: 600; }
.surgery-opaque {
  --hatch: color-mix(in srgb, var(--rule) 60%, transparent);
  background-image: repeating-linear-gradient(135deg, transparent 0 5px, var(--hatch) 5px 6px);
}
.surgery-problem { box-shadow: inset 2px 0 var(--error); }
.surgery-tree > .surgery-ties { margin-top: 4px; padding-top: 4px; border-top: 1px solid var(--rule); }
.surgery-tree .surgery-ties > summary { position: relative; padding: 1px 8px 1px 22px; color: var(--soft); }
.surgery-ties ul { margin: 2px 0 0; padding: 0 8px 0 22px; list-style: none; overflow-wrap: anywhere; }
.surgery-tree p { margin: 6px 8px 0 22px; overflow-wrap: anywhere; }
.surgery-failed { color: var(--error); }
.surgery-note { color: var(--soft); }
.surgery-tree table.surgery-change {
  table-layout: auto; width: auto; margin: 0; border-collapse: collapse; color: var(--ink); font-size: 13px;
}
.surgery-tree .surgery-change :is(th, td) {
  padding: 2px 12px; text-align: right; border: 0; background: none; color: inherit;
  font-variant-numeric: tabular-nums;
}
.surgery-tree .surgery-change th { text-align: left; font-weight: 600; }
.surgery-tree .surgery-change thead th { color: var(--soft); font-weight: 400; text-align: right; }
.surgery-tree .surgery-change thead tr { border-bottom: 1px solid var(--rule); }
</style>"""
