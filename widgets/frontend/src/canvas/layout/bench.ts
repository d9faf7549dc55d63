// Layouts made in a worker. Its script is the panel's own text, which anywidget keeps: nothing is sent twice.
import { computeFlow, type FlowLayout, type FlowTask } from "./flow";

/** Where a task is sent; the answer is told with the same key, null where the worker failed. */
export interface Bench {
  post(key: string, task: FlowTask): void;
  close(): void;
}
export type Answer = (key: string, layout: FlowLayout | null) => void;
export type OpenBench = (answer: Answer) => Bench | null;

interface Asked {
  key: string;
  task: FlowTask;
}
/** The part of a worker's own scope that is used in it. */
export interface Scope {
  onmessage: ((event: MessageEvent<Asked>) => void) | null;
  postMessage(message: unknown): void;
}

/** Runs when the panel's text is loaded: in a worker it lays out, and is no panel. */
export function serveLayouts(scope: Scope): void {
  scope.onmessage = ({ data: { key, task } }) => {
    scope.postMessage({ key, layout: computeFlow(task) });
  };
}

/** Whether this text was loaded as the script of a worker. */
export const isWorker = (): boolean => typeof document === "undefined" && "importScripts" in globalThis;

/** Opens workers that run `script`, the text of a module; none where there is no text, or workers are refused. */
export const workersOf =
  (script: unknown): OpenBench =>
  (answer) => {
    // A page may give the address of a script in place of its text; that would be loaded from elsewhere.
    if (typeof Worker === "undefined" || typeof script !== "string" || !script.includes("export"))
      return null;
    let worker: Worker;
    try {
      const url = URL.createObjectURL(new Blob([script], { type: "text/javascript" }));
      worker = new Worker(url, { type: "module" });
      worker.addEventListener("message", () => URL.revokeObjectURL(url), { once: true });
    } catch {
      return null;
    }
    worker.addEventListener("message", ({ data }: MessageEvent<{ key: string; layout: FlowLayout }>) =>
      answer(data.key, data.layout),
    );
    worker.addEventListener("error", () => answer("", null));
    return {
      post: (key, task) => worker.postMessage({ key, task }),
      close: () => worker.terminate(),
    };
  };
