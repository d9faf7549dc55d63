import type { JupyterFrontEnd } from "@jupyterlab/application";
import type { INotebookTracker, NotebookPanel } from "@jupyterlab/notebook";
import { beforeEach, describe, expect, it, vi } from "vitest";
import { chooseVariable, sendToNotebook } from "../src/notebooks";
import type { StudioTab } from "../src/panel";

const shown = vi.hoisted(() => ({
  errors: [] as string[],
  items: [] as string[],
  chosen: null as string | null,
}));

vi.mock("@jupyterlab/apputils", () => ({
  showErrorMessage: async (_: string, text: string) => void shown.errors.push(text),
  InputDialog: {
    getItem: async ({ items }: { items: string[] }) => {
      shown.items = items;
      return { value: shown.chosen };
    },
  },
  Notification: { success: () => undefined },
}));
vi.mock("@jupyterlab/notebook", () => ({
  NotebookActions: { insertBelow: (content: Notebook) => void content.add("") },
}));

beforeEach(() => void Object.assign(shown, { errors: [], items: [], chosen: null }));

/** The cells of a notebook, the last of them active. */
class Notebook {
  constructor(
    readonly sources: string[],
    private readonly type = "code",
  ) {}

  get activeCell() {
    const at = this.sources.length - 1;
    const sharedModel = {
      getSource: () => this.sources[at] ?? "",
      setSource: (text: string) => void this.sources.splice(at, 1, text),
    };
    return at < 0 ? null : { model: { type: this.type, sharedModel } };
  }

  add(source: string): void {
    this.sources.push(source);
  }
}

function kernel(answer: unknown) {
  const data = { "application/json": { answer } };
  const content = { user_expressions: { answer: { status: "ok", data } } };
  return { name: "python3", requestExecute: vi.fn(() => ({ done: Promise.resolve({ content }) })) };
}

function notebook(path: string, content: Notebook, session: unknown = null) {
  const context = { path, localPath: path, ready: Promise.resolve() };
  const panel = { id: path, context, content, revealed: Promise.resolve(), sessionContext: { session } };
  return panel as unknown as NotebookPanel;
}

describe("the model of a notebook", () => {
  const llama = { name: "llama", kind: "LlamaForCausalLM", detail: "1 M", code: "surgery.view(llama)" };
  const vit = { ...llama, name: "vit", kind: "ViT" };
  const asking = (answer: unknown) =>
    chooseVariable(notebook("a.ipynb", new Notebook([]), { kernel: kernel(answer) }));

  it("is the only one there is, without a question", async () => {
    expect(await asking([llama])).toEqual(llama);
    expect(shown).toMatchObject({ errors: [], items: [] });
  });

  it("is the chosen one of several, each with its kind; none if nothing was chosen", async () => {
    expect(await asking([llama, vit])).toBeNull();
    shown.chosen = "vit — ViT, 1 M";
    expect(await asking([llama, vit])).toEqual(vit);
    expect(shown.items).toEqual(["llama — LlamaForCausalLM, 1 M", "vit — ViT, 1 M"]);
  });

  it("is none, with a sentence, where there is none or no kernel yet", async () => {
    expect(await asking([])).toBeNull();
    expect(await chooseVariable(notebook("a.ipynb", new Notebook([])))).toBeNull();
    expect(shown.errors.map((text) => text.split(".")[0])).toEqual([
      "No variable of this kernel holds a torch model (nn",
      "This notebook has no kernel yet",
    ]);
  });
});

describe("the script of a studio", () => {
  const SCRIPT = "import surgery\n\ns = surgery.open('demo')";

  /** Sends the script of a studio while these notebooks are open, the first of them the current one. */
  async function sent(
    options: object,
    open: NotebookPanel[],
    made = notebook("new.ipynb", new Notebook([""])),
  ) {
    const execute = vi.fn(async () => made);
    const activateById = vi.fn();
    const own = kernel(SCRIPT);
    const tab = { content: { kernel: own, options, sessionContext: { path: "folder/model-surgery" } } };
    const tracker = {
      currentWidget: open[0] ?? null,
      find: (fits: (panel: NotebookPanel) => boolean) => open.find(fits),
    };
    await sendToNotebook(
      tab as unknown as StudioTab,
      tracker as unknown as INotebookTracker,
      { commands: { execute }, shell: { activateById } } as unknown as JupyterFrontEnd,
    );
    return { execute, activateById, own };
  }
  const source = { shown: { kind: "source", source: "model" } };

  it("fills the current cell where that is empty, and shows the notebook", async () => {
    const cells = new Notebook(["1 + 1", " \n"]);
    const { activateById, execute } = await sent(source, [notebook("a.ipynb", cells)]);
    expect(cells.sources).toEqual(["1 + 1", SCRIPT]);
    expect(activateById).toHaveBeenCalledWith("a.ipynb");
    expect(execute).not.toHaveBeenCalled();
  });

  it("never overwrites: below a cell with text, or one that is no code, comes a new one", async () => {
    const code = new Notebook(["1 + 1"]);
    await sent(source, [notebook("a.ipynb", code)]);
    expect(code.sources).toEqual(["1 + 1", SCRIPT]);
    const prose = new Notebook([""], "markdown");
    await sent(source, [notebook("a.ipynb", prose)]);
    expect(prose.sources).toEqual(["", SCRIPT]);
  });

  it("goes to the notebook whose model it edits, whichever is current", async () => {
    const [current, own] = [new Notebook([""]), new Notebook([""])];
    const open = [notebook("current.ipynb", current), notebook("own.ipynb", own)];
    await sent({ shown: { kind: "variable", notebook: "own.ipynb", variable: "m" } }, open);
    expect([current.sources, own.sources]).toEqual([[""], [SCRIPT]]);
  });

  it("makes a notebook beside the model where none is open", async () => {
    const cells = new Notebook([""]);
    const { execute } = await sent(source, [], notebook("folder/new.ipynb", cells));
    const where = { cwd: "folder", kernelName: "python3", activate: false };
    expect(execute).toHaveBeenCalledWith("notebook:create-new", where);
    expect(cells.sources).toEqual([SCRIPT]);
  });
});
