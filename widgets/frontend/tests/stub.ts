// A panel in a page without Python, and what tests do with it.
import { StubModel } from "../dev/stub";
import type { Panel } from "../src/shared/panel";

/** Hangs the panel into `into`, and that into the page. */
export function mount(panel: Panel, state: unknown, into: HTMLElement = document.createElement("div")) {
  const model = new StubModel(state);
  document.body.append(into);
  const stop = panel.render({ model, el: into });
  return { model, el: into, stop };
}

/** Lets effects run: Preact waits for a frame. */
export const settle = () => new Promise((resolve) => setTimeout(resolve, 60));

export const find = <E extends HTMLElement>(el: HTMLElement, selector: string) =>
  el.querySelector<E>(selector) as E;

export const labelled = <E extends HTMLElement>(el: HTMLElement, label: string) =>
  find<E>(el, `[aria-label="${label}"]`);

/** The button with just this text. */
export const button = (el: HTMLElement, text: string) =>
  [...el.querySelectorAll("button")].find((item) => item.textContent?.trim() === text) as HTMLButtonElement;
