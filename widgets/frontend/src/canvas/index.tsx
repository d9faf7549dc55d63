// The graph: a canvas for what is many, ordinary elements over it for what is read.
import { render } from "preact";
import { hearFade } from "../shared/fade";
import { type Model, makeRoot, type Panel } from "../shared/panel";
import { Chrome } from "./chrome";
import { onThemeChange } from "./draw/theme";
import { listen } from "./gestures/listen";
import { isWorker, type Scope, serveLayouts, workersOf } from "./layout/bench";
import { hearPicture } from "./picture";
import { type CanvasMessage, type CanvasState, canvasState } from "./protocol";
import { CanvasView } from "./view";

const LABEL =
  "Graph of the model. Arrow keys move the selection, Enter opens. The outline beside it is a full tree with the same actions.";

function mount({ model, el }: { model: Model; el: HTMLElement }): () => void {
  const root = makeRoot(el, "canvas");
  const canvas = document.createElement("canvas");
  canvas.tabIndex = 0;
  canvas.setAttribute("role", "application");
  canvas.setAttribute("aria-label", LABEL);
  const over = document.createElement("div");
  over.className = "ms-over";
  const map = document.createElement("canvas");
  map.className = "ms-map";
  map.setAttribute("aria-hidden", "true");
  root.append(canvas, over, map);

  let state: CanvasState = canvasState(model.get("state"));
  const send = (message: CanvasMessage) => model.send(message);
  const view = new CanvasView(root, canvas, map, {
    openBench: workersOf(model.get("_esm")),
    onFrame: () => {
      // Tooltip and alert hang on nodes, so they follow every frame; the rest does not change with it.
      if (view.hovered || state.alert) drawChrome();
    },
    onReady: () => {
      root.dataset.ready = "true";
    },
  });
  const drawChrome = () => {
    const { hovered } = view;
    render(
      <Chrome
        state={state}
        hovered={hovered}
        hoveredBox={hovered && hovered.kind !== "fold" ? view.boxOf(hovered.path) : null}
        alertBox={state.alert ? view.boxOf(state.alert.path) : null}
        size={{ w: root.clientWidth, h: root.clientHeight }}
        send={send}
        fit={() => view.showAll("goTo")}
        zoomIn={() => view.showSelection()}
      />,
      over,
    );
  };
  const draw = () => {
    state = canvasState(model.get("state"));
    view.setState(state);
    map.hidden = state.overview.nodes.length === 0;
    drawChrome();
  };

  const stop = new AbortController();
  let heard = false;
  const resize = () => {
    // Before its first size the panel may not hang in a studio yet.
    if (!heard) {
      heard = hearPicture(root, () => view.picture(), stop.signal);
      const fade = (paths: string[]) => {
        view.faded = new Set(paths);
        view.redraw();
      };
      hearFade(root, fade, stop.signal);
    }
    view.resize(root.clientWidth, root.clientHeight);
  };
  const observer = new ResizeObserver(resize);
  observer.observe(root);
  const stopTheme = onThemeChange(() => view.retheme());
  const stopListening = listen({ view, selection: () => state.selection, send, onHover: drawChrome });
  model.on("change:state", draw);
  resize();
  draw();
  return () => {
    model.off("change:state", draw);
    stop.abort();
    stopListening();
    stopTheme();
    observer.disconnect();
    view.destroy();
    render(null, over);
    root.remove();
  };
}

if (isWorker()) serveLayouts(globalThis as unknown as Scope);

const panel: Panel = { render: mount };
export default panel;
