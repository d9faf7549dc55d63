// Makes an anywidget module out of a Preact component: keyed diffs keep focus, scroll and typed text.
import { type ComponentType, render } from "preact";
import type { Reader } from "./shape";

/** The part of anywidget's model that a panel uses. */
export interface Model {
  get(key: "state" | "lasting"): unknown;
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

/** Appends the panel's root, with the classes and attributes that every panel has. */
export function makeRoot(el: HTMLElement, name: string): HTMLElement {
  const root = document.createElement("div");
  root.className = `ms-panel ms-${name}`;
  // JupyterLab would take A, M and the like for commands on cells.
  root.setAttribute("data-lm-suppress-shortcuts", "true");
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
        render(<View state={read(whole)} send={send} />, root);
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
