// Placeholder until built below.
import { definePanel } from "../shared/panel";
import { type MenuMessage, type MenuState, menuState } from "./protocol";

export default definePanel<MenuState, MenuMessage>("menu", menuState, () => null);
