// What is asked of a kernel: Python that calls `widgets.lab_entry`, and its answers as JSON.
import type { Kernel } from "@jupyterlab/services";

const ENTRY = '__import__("importlib").import_module("widgets.lab_entry")';

/** What a tab shows: a place or name in a kernel of its own, or a variable of a notebook's kernel. */
export type Shown =
  | { kind: "source"; source: string }
  | { kind: "variable"; notebook: string; variable: string };

/** A variable that a studio can be opened on. */
export interface Variable {
  name: string;
  kind: string;
  detail: string;
  /** What shows it in a cell. */
  code: string;
}

/** Nothing that lies in a folder of models may be imported from it: this kernel has no other user. */
const ALONE = "import sys\nsys.path[:] = [place for place in sys.path if place]\ndel sys\n";

/** The code that displays the studio; what it was called with before is shown again as it is. */
export function showing(shown: Shown, settings: string): string {
  if (shown.kind === "variable") return call("show_variable", shown.variable, settings);
  return ALONE + call("show", shown.source, settings);
}

/** An expression that calls a function of the entry; texts are passed as literals, never as code. */
export function call(name: string, ...texts: string[]): string {
  return `${ENTRY}.${name}(${texts.map((text) => JSON.stringify(text)).join(", ")})`;
}

/** The answer of the entry to a question; nothing shows in the notebook, and no cell is counted. */
export async function ask<Answer>(kernel: Kernel.IKernelConnection, question: string): Promise<Answer> {
  const future = kernel.requestExecute({
    code: "",
    silent: true,
    store_history: false,
    user_expressions: { answer: question },
  });
  const content = (await future.done).content as unknown as Reply;
  const answer = content.user_expressions?.answer;
  if (answer?.status !== "ok")
    throw new Error(answer?.evalue || content.evalue || "the kernel did not answer");
  return answer.data?.["application/json"]?.answer as Answer;
}

interface Reply {
  evalue?: string;
  user_expressions?: {
    answer?: { status: string; evalue?: string; data?: { "application/json"?: { answer: unknown } } };
  };
}
