// The shelf alone, over what would be the bottom row: shelf.html?scene=two|own|adapter|wrong|many|empty.
import shelfPanel from "../src/shelf";
import { shelf } from "./shelf";
import { StubModel } from "./stub";

const query = new URLSearchParams(location.search);
const theme = query.get("theme");
if (theme) document.body.dataset.jpThemeLight = String(theme === "light");
const state = shelf(query.get("scene") ?? "two");
const model = new StubModel(state, (message) => console.log("shelf", JSON.stringify(message)));
const el = document.querySelector<HTMLElement>(".ms-dev-root");
if (el) shelfPanel.render({ model, el });
// For the console and for the scripts that drive this page.
Object.assign(window, { model, sent: model.sent });
