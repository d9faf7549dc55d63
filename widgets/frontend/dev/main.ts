// Mounts the six panels with a model that answers nothing, so that they can be looked at.
import canvas from "../src/canvas";
import history from "../src/history";
import inspector from "../src/inspector";
import outline from "../src/outline";
import prompt from "../src/prompt";
import report from "../src/report";
import type { Panel } from "../src/shared/panel";
import topbar from "../src/topbar";
import { crowd } from "./crowd";
import { measureFrames } from "./frames";
import { type Scene, scenes } from "./scenes";
import { StubModel } from "./stub";

const sent: { panel: string; message: unknown }[] = [];
const query = new URLSearchParams(location.search);
const theme = query.get("theme");
if (theme) document.body.dataset.jpThemeLight = String(theme === "light");
const named = (scenes[query.get("scene") ?? "demo"] ?? scenes.demo) as Scene;
// ?crowd=net|strips&count=2000: as many nodes as that; ?only=canvas: one panel over the whole window.
const kind = query.get("crowd");
const scene = kind ? crowd(named, kind, Number(query.get("count") ?? 2000)) : named;
const only = query.get("only");
if (only) document.body.classList.add("alone");
const panels: Record<string, [Panel, string]> = {
  topbar: [topbar, "top"],
  outline: [outline, "left"],
  canvas: [canvas, "centre"],
  inspector: [inspector, "right"],
  history: [history, "history"],
  report: [report, "report"],
  ...(scene.prompt ? { prompt: [prompt, "prompt"] } : {}),
};
const models: Record<string, StubModel> = {};
for (const [name, [panel, area]] of Object.entries(panels)) {
  const el = document.querySelector<HTMLElement>(`.ms-area-${area}`);
  const model = new StubModel(scene[name as keyof Scene], (message) => {
    sent.push({ panel: name, message });
    console.log(name, JSON.stringify(message));
  });
  models[name] = model;
  if (el && (!only || only === name)) panel.render({ model, el });
  else if (only) el?.remove();
}
// For the console and for the scripts that drive this page.
Object.assign(window, { models, sent, measureFrames });
