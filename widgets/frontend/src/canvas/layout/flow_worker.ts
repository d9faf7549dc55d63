// Runs in a worker: a task in, its layout out. Inlined into the panel as text (inline_worker.mjs).
import { computeFlow, type FlowTask } from "./flow";

const scope = globalThis as unknown as {
  onmessage: (event: MessageEvent<{ key: string; task: FlowTask }>) => void;
  postMessage: (message: unknown) => void;
};
scope.onmessage = ({ data: { key, task } }) => {
  scope.postMessage({ key, layout: computeFlow(task) });
};
