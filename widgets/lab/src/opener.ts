// Opens studios, each once: on a kernel of their own, on that of a document, or on that of a notebook.
import type { JupyterFrontEnd } from "@jupyterlab/application";
import {
  type ISessionContext,
  SessionContext,
  showErrorMessage,
  type WidgetTracker,
} from "@jupyterlab/apputils";
import { type DocumentRegistry, DocumentWidget } from "@jupyterlab/docregistry";
import type { INotebookTracker, NotebookPanel } from "@jupyterlab/notebook";
import type { IRenderMimeRegistry } from "@jupyterlab/rendermime";
import { type ReadonlyPartialJSONObject, UUID } from "@lumino/coreutils";
import { FACTORY, type StudioDocument } from "./documents";
import { isModelFolder } from "./folders";
import { markIcon } from "./icon";
import { sendToNotebook } from "./notebooks";
import { StudioPanel, type StudioTab, tabOf } from "./panel";
import type { Settings } from "./settings";
import { fillToolbar } from "./toolbar";

type Args = ReadonlyPartialJSONObject;

export class Opener {
  constructor(
    private readonly app: JupyterFrontEnd,
    private readonly rendermime: IRenderMimeRegistry,
    private readonly dialogs: ISessionContext.IDialogs,
    private readonly tracker: WidgetTracker<StudioTab>,
    private readonly settings: Settings,
    private readonly notebooks: INotebookTracker | null,
    /** Whether there is a main area with tabs: JupyterLab has one, Notebook has not. */
    readonly tabs: boolean,
  ) {}

  /**
   * Opens what `args` names, or shows the tab that it is open in: a `file`, a `folder`, a `variable` of a
   * `notebook`; without these the demonstration, in `cwd`.
   */
  async open(args: Args): Promise<unknown> {
    await this.settings.ready;
    const file = text(args.file);
    if (file !== null) return this.app.commands.execute("docmanager:open", { path: file, factory: FACTORY });
    const folder = text(args.folder);
    if (folder !== null) return this._openFolder(folder);
    const [notebook, variable] = [text(args.notebook), text(args.variable)];
    if (notebook !== null && variable !== null) return this._openVariable(notebook, variable);
    const session = text(args.session) ?? joined(text(args.cwd) ?? "", `model-surgery-${UUID.uuid4()}`);
    return this._openOwn(session, "demo", { session }, "Model Surgery", "The demonstration");
  }

  /** The studio on a file: a document that holds nothing, with a kernel that works in the file's folder. */
  document(context: DocumentRegistry.Context): StudioDocument {
    const name = context.localPath.split("/").pop() ?? context.localPath;
    const folder = context.path.slice(0, Math.max(0, context.path.length - name.length - 1));
    // Not the session of the document: an editor on the same file would share it, and take the widgets' messages.
    const session = joined(folder, `model-surgery-${name}`);
    const content = this._panel(session, name, name, { file: context.path });
    const tab = new DocumentWidget({ content, context });
    tab.title.icon = markIcon;
    this._keep(tab);
    return tab;
  }

  private async _openFolder(folder: string): Promise<unknown> {
    const { contents } = this.app.serviceManager;
    if (!(await isModelFolder(contents, folder).catch(() => false))) {
      return showErrorMessage(
        "Model Surgery",
        `${folder || "This folder"} holds no config.json, so no model.`,
      );
    }
    if (!this.tabs) return this.open({ file: joined(folder, "config.json") });
    const label = contents.localPath(folder).split("/").pop() || "Model Surgery";
    return this._openOwn(joined(folder, "model-surgery"), ".", { folder }, label, folder || "/");
  }

  private _openOwn(session: string, source: string, again: Args, label: string, caption: string): StudioTab {
    const known = this._known(again);
    if (known) return known;
    const tab = tabOf(this._panel(session, source, label, again), label, caption);
    this._add(tab);
    return tab;
  }

  /** A panel on a kernel of its own, found again by the path of its session. */
  private _panel(session: string, source: string, name: string, again: Args): StudioPanel {
    const { kernels, kernelspecs, sessions } = this.app.serviceManager;
    const sessionContext = new SessionContext({
      kernelManager: kernels,
      sessionManager: sessions,
      specsManager: kernelspecs,
      path: session,
      type: "model-surgery",
      name,
      kernelPreference: { language: "python", autoStartDefault: true, shutdownOnDispose: true },
    });
    void sessionContext.initialize().then(async (mustChoose) => {
      if (mustChoose) await this.dialogs.selectKernel(sessionContext);
    });
    return new StudioPanel({
      sessionContext,
      rendermime: this.rendermime.clone(),
      own: true,
      shown: { kind: "source", source },
      again,
      settings: () => this.settings.text,
    });
  }

  private async _openVariable(path: string, variable: string): Promise<unknown> {
    const again = { notebook: path, variable };
    const known = this._known(again);
    if (known) return known.content.display().then(() => known); // it may hold another model by now
    const panel = this.notebooks?.find((item) => item.context.path === path);
    if (!panel) return undefined; // it was closed before the page was loaded anew
    // Nothing is awaited here: the notebook is ready only once the layout is restored, of which this is part.
    const content = new StudioPanel({
      sessionContext: panel.sessionContext,
      rendermime: panel.content.rendermime,
      own: false,
      shown: { kind: "variable", notebook: path, variable },
      again,
      settings: () => this.settings.text,
    });
    const tab = tabOf(content, variable, `${variable} of ${path}`);
    panel.disposed.connect(() => tab.dispose());
    this._add(tab, panel);
    return tab;
  }

  private _add(tab: StudioTab, beside?: NotebookPanel): void {
    this.app.shell.add(tab, "main", beside ? { ref: beside.id, mode: "tab-after" } : {});
    this._keep(tab);
    this.app.shell.activateById(tab.id);
  }

  private _keep(tab: StudioTab): void {
    tab.id ||= `model-surgery-${UUID.uuid4()}`;
    const { notebooks } = this;
    const send = notebooks && this.tabs;
    fillToolbar(tab, this.dialogs, send ? (sent) => sendToNotebook(sent, notebooks, this.app) : null);
    void this.tracker.add(tab);
  }

  private _known(again: Args): StudioTab | undefined {
    const name = JSON.stringify(again);
    const tab = this.tracker.find(({ content }) => JSON.stringify(content.options.again) === name);
    if (tab) this.app.shell.activateById(tab.id);
    return tab;
  }
}

function text(value: unknown): string | null {
  return typeof value === "string" ? value : null;
}

function joined(folder: string, name: string): string {
  return folder && !folder.endsWith(":") ? `${folder}/${name}` : `${folder}${name}`;
}
