// Makes an anywidget module out of a Preact component: keyed diffs keep focus, scroll and typed text.
import { type ComponentType, render } from "preact";
import type { Reader } from "./shape";

/** The part of anywidget's model that a panel uses. */
export interface Model {
  /** `_esm` is the text of the panel's own module. */
  get(key: "state" | "lasting" | "_esm"): unknown;
  on(event: "change:state" | "change:lasting", callback: () => void): void;
  off(event: "change:state" | "change:lasting", callback: () => void): void;
  send(message: unknown): void;
}

export interface PanelProps<State, Message> {
  state: State;
  send: (message: Message) => void;
}

export interface Panel {
  render(context: { model: Model; el: HTMLElement }): () => void;
}

/**
 * Keys pressed in `part` are no commands of JupyterLab's, which would take A, B and D D for changes of cells.
 * It looks for the attribute from the focused element upwards, and takes that element itself for a part of the
 * notebook first: so the element has to have it. A press between the controls keeps the focus here.
 */
export function keepKeys(part: HTMLElement): void {
  part.tabIndex = -1;
  part.addEventListener("focusin", ({ target }) => {
    if (target instanceof Element) target.setAttribute("data-lm-suppress-shortcuts", "true");
  });
}

/** Appends the panel's root, with the classes and attributes that every panel has. */
export function makeRoot(el: HTMLElement, name: string): HTMLElement {
  const root = document.createElement("div");
  root.className = `ms-panel ms-${name}`;
  keepKeys(root);
  // Where there is a menu of ours, the notebook's would lie over it.
  root.addEventListener("contextmenu", (event) => event.defaultPrevented && event.stopPropagation());
  el.append(root);
  return root;
}

export function definePanel<State, Message>(
  name: string,
  read: Reader<State>,
  View: ComponentType<PanelProps<State, Message>>,
): Panel {
  return {
    render({ model, el }) {
      const root = makeRoot(el, name);
      const send = (message: Message) => model.send(message);
      const draw = () => {
        const whole = Object.assign({}, model.get("lasting"), model.get("state"));
        const focused = root.contains(document.activeElement);
        render(<View state={read(whole)} send={send} />, root);
        // What had the focus is gone: keys go on meaning this panel, not the notebook's cells.
        if (focused && !root.contains(document.activeElement)) root.focus({ preventScroll: true });
        root.dataset.ready = "true";
      };
      model.on("change:state", draw);
      model.on("change:lasting", draw);
      draw();
      return () => {
        model.off("change:state", draw);
        model.off("change:lasting", draw);
        render(null, root);
        root.remove();
      };
    },
  };
}
