import type { JupyterFrontEnd } from "@jupyterlab/application";
import type { ISessionContext, WidgetTracker } from "@jupyterlab/apputils";
import type { DocumentRegistry } from "@jupyterlab/docregistry";
import type { INotebookTracker } from "@jupyterlab/notebook";
import type { IRenderMimeRegistry } from "@jupyterlab/rendermime";
import type { ReadonlyPartialJSONObject } from "@lumino/coreutils";
import { beforeEach, describe, expect, it, vi } from "vitest";
import { FACTORY } from "../src/documents";
import { Opener } from "../src/opener";
import type { PanelOptions, StudioTab } from "../src/panel";
import type { Settings } from "../src/settings";

const refused = vi.hoisted(() => [] as string[]);

vi.mock("@jupyterlab/apputils", () => ({
  SessionContext: class {
    constructor(readonly options: { path: string; name: string }) {}
    initialize = async () => false;
  },
  showErrorMessage: async (_: string, text: string) => void refused.push(text),
}));
vi.mock("@jupyterlab/docregistry", () => ({
  ABCWidgetFactory: class {},
  TextModelFactory: class {},
  DocumentWidget: class {
    title = {};
    id = "";
    content: unknown;
    constructor({ content }: { content: unknown }) {
      this.content = content;
    }
  },
}));
vi.mock("@jupyterlab/notebook", () => ({}));
vi.mock("@jupyterlab/ui-components", () => ({ LabIcon: class {} }));
vi.mock("../src/toolbar", () => ({ fillToolbar: () => undefined }));
vi.mock("../src/panel", () => ({
  StudioPanel: class {
    display = vi.fn(async () => undefined);
    constructor(readonly options: PanelOptions) {}
  },
  tabOf: (content: unknown, label: string, caption: string) => ({
    content,
    id: "",
    title: { label, caption },
  }),
}));

beforeEach(() => void refused.splice(0));

const FOLDERS: Record<string, string[]> = { "models/llama": ["config.json"], "": ["config.json"], notes: [] };

/** A JupyterLab with a notebook `n.ipynb`, or a Notebook; `tabs` are the studios that are open. */
function lab(hasTabs = true) {
  const tabs: StudioTab[] = [];
  const execute = vi.fn(async () => undefined);
  const activateById = vi.fn();
  const get = async (path: string) => ({ content: FOLDERS[path]?.map((name) => ({ name, type: "file" })) });
  const notebook = {
    id: "n",
    context: { path: "n.ipynb" },
    sessionContext: {},
    content: { rendermime: {} },
    disposed: { connect: () => undefined },
  };
  const opener = new Opener(
    {
      commands: { execute },
      serviceManager: { contents: { get, localPath: (path: string) => path } },
      shell: { add: () => undefined, activateById },
    } as unknown as JupyterFrontEnd,
    { clone: () => ({}) } as unknown as IRenderMimeRegistry,
    {} as ISessionContext.IDialogs,
    {
      add: async (tab: StudioTab) => void tabs.push(tab),
      find: (fits: (tab: StudioTab) => boolean) => tabs.find(fits),
    } as unknown as WidgetTracker<StudioTab>,
    { ready: Promise.resolve(), text: '{"budget":2}' } as Settings,
    { find: (fits: (panel: unknown) => boolean) => [notebook].find(fits) } as unknown as INotebookTracker,
    hasTabs,
  );
  return { opener, tabs, execute, activateById };
}

/** What the panel of a tab was made with, and the path of its session. */
function madeOf(tab: StudioTab | undefined) {
  if (!tab) throw new Error("no tab was opened");
  const { again, shown, own, settings, sessionContext } = tab.content.options;
  const path = (sessionContext as unknown as { options?: { path: string } }).options?.path;
  return { again, shown, own, settings: settings(), path };
}

describe("what is opened", () => {
  it("is a file by JupyterLab itself, as a document of ours", async () => {
    const { opener, execute, tabs } = lab();
    await opener.open({ file: "models/model.safetensors", cwd: "elsewhere" });
    expect(execute).toHaveBeenCalledWith("docmanager:open", {
      path: "models/model.safetensors",
      factory: FACTORY,
    });
    expect(tabs).toEqual([]);
  });

  it("is a document on a kernel that works in the folder of the file, not the document's own session", () => {
    const { opener } = lab();
    const context = { path: "models/a.surgery.json", localPath: "models/a.surgery.json" };
    expect(madeOf(opener.document(context as DocumentRegistry.Context))).toEqual({
      again: { file: "models/a.surgery.json" },
      shown: { kind: "source", source: "a.surgery.json" },
      own: true,
      settings: '{"budget":2}',
      path: "models/model-surgery-a.surgery.json",
    });
  });

  it("is a folder of a model, by a kernel that works in it", async () => {
    const { opener, tabs } = lab();
    await opener.open({ folder: "models/llama" });
    await opener.open({ folder: "" });
    expect(tabs.map((tab) => madeOf(tab).path)).toEqual(["models/llama/model-surgery", "model-surgery"]);
    expect(madeOf(tabs[0])).toMatchObject({ shown: { kind: "source", source: "." }, own: true });
  });

  it("is the config of a folder where there are no tabs", async () => {
    const { opener, execute, tabs } = lab(false);
    await opener.open({ folder: "models/llama" });
    const config = { path: "models/llama/config.json", factory: FACTORY };
    expect(execute).toHaveBeenCalledWith("docmanager:open", config);
    expect(tabs).toEqual([]);
  });

  it("is no folder without a config: a sentence says so", async () => {
    const { opener, tabs } = lab();
    await opener.open({ folder: "notes" });
    await opener.open({ folder: "gone" });
    expect(tabs).toEqual([]);
    expect(refused).toEqual([
      "notes holds no config.json, so no model.",
      "gone holds no config.json, so no model.",
    ]);
  });

  it("is a variable in the kernel of its notebook, which does not end with the tab", async () => {
    const { opener, tabs } = lab();
    await opener.open({ notebook: "n.ipynb", variable: "model" });
    const shown = { kind: "variable", notebook: "n.ipynb", variable: "model" };
    expect(madeOf(tabs[0])).toMatchObject({ shown, own: false });
  });

  it("is nothing where the notebook was closed meanwhile", async () => {
    const { opener, tabs } = lab();
    await opener.open({ notebook: "closed.ipynb", variable: "model" });
    expect(tabs).toEqual([]);
  });

  it("is the demonstration, below the folder where the launcher stands; each time a new one", async () => {
    const { opener, tabs } = lab();
    await opener.open({ cwd: "work" });
    await opener.open({ cwd: "work", isPalette: true });
    const [one, other] = tabs.map((tab) => madeOf(tab));
    expect(one).toMatchObject({ shown: { kind: "source", source: "demo" }, again: { session: one?.path } });
    expect(one?.path).toMatch(/^work\/model-surgery-/);
    expect(other?.path).not.toBe(one?.path);
  });
});

describe("after a reload of the page", () => {
  const asked: ReadonlyPartialJSONObject[] = [
    { folder: "models/llama" },
    { notebook: "n.ipynb", variable: "model" },
    { cwd: "work" },
  ];
  it.each(asked)("%o is opened again by what its tab keeps, on the same session", async (args) => {
    const [before, after] = [lab(), lab()];
    await before.opener.open(args);
    const kept = madeOf(before.tabs[0]);
    await after.opener.open(JSON.parse(JSON.stringify(kept.again)));
    expect(madeOf(after.tabs[0])).toEqual(kept);
  });

  it.each(asked)("%o that is open already is shown, not opened twice", async (args) => {
    const { opener, tabs, activateById } = lab();
    await opener.open(args);
    activateById.mockClear();
    await opener.open(madeOf(tabs[0]).again);
    expect(tabs).toHaveLength(1);
    expect(activateById).toHaveBeenCalledExactlyOnceWith(tabs[0]?.id);
  });
});
