// The shelf alone, over what would be the bottom row: shelf.html?scene=two|own|adapter|wrong|many|empty.
import shelfPanel from "../src/shelf";
import { shelf } from "./shelf";

const query = new URLSearchParams(location.search);
const theme = query.get("theme");
if (theme) document.body.dataset.jpThemeLight = String(theme === "light");
const sent: unknown[] = [];
let state: unknown = shelf(query.get("scene") ?? "two");
const listeners = new Set<() => void>();
const model = {
  get: () => state,
  set(next: unknown) {
    state = next;
    for (const listener of listeners) listener();
  },
  on: (_: string, callback: () => void) => listeners.add(callback),
  off: (_: string, callback: () => void) => listeners.delete(callback),
  send(message: unknown) {
    sent.push(message);
    console.log("shelf", JSON.stringify(message));
  },
};
const el = document.querySelector<HTMLElement>(".ms-dev-root");
if (el) shelfPanel.render({ model, el });
// For the console and for the scripts that drive this page.
Object.assign(window, { model, sent });
