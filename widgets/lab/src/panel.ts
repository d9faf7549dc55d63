// A studio in the main area: starts or joins a kernel, shows what it displays, says what is missing.
import { type ISessionContext, MainAreaWidget } from "@jupyterlab/apputils";
import { OutputAreaModel, SimplifiedOutputArea } from "@jupyterlab/outputarea";
import type { IRenderMimeRegistry } from "@jupyterlab/rendermime";
import type { Kernel, KernelMessage } from "@jupyterlab/services";
import type { ReadonlyPartialJSONObject } from "@lumino/coreutils";
import type { IDisposable } from "@lumino/disposable";
import { Panel, Widget } from "@lumino/widgets";
import { hostWidgets } from "./hosting";
import { markIcon } from "./icon";
import { type Shown, showing } from "./kernel";

export interface PanelOptions {
  sessionContext: ISessionContext;
  /** That of a notebook, with its widget manager once it has one; otherwise a clone for this panel alone. */
  rendermime: IRenderMimeRegistry;
  /** Whether the kernel is this panel's, and ends with it; that of a notebook is not. */
  own: boolean;
  shown: Shown;
  /** What `model-surgery:open` is called with to open it again after a reload. */
  again: ReadonlyPartialJSONObject;
  settings: () => string;
}

/** The tab of a studio; a document's is one too. */
export type StudioTab = MainAreaWidget<StudioPanel>;

export class StudioPanel extends Panel {
  constructor(readonly options: PanelOptions) {
    super();
    this.addClass("ms-lab");
    this._said.addClass("ms-lab-said");
    this._said.node.setAttribute("role", "status");
    this.area = new SimplifiedOutputArea({
      model: new OutputAreaModel({ trusted: true }),
      rendermime: options.rendermime,
    });
    this.addWidget(this._said);
    this.addWidget(this.area);
    const { sessionContext } = options;
    sessionContext.statusChanged.connect(this._onStatus, this);
    sessionContext.kernelChanged.connect(this._onKernel, this);
    this.say("Starting a kernel …");
    void sessionContext.ready.then(() => this.display());
  }

  /** What the kernel displays. */
  readonly area: SimplifiedOutputArea;

  get sessionContext(): ISessionContext {
    return this.options.sessionContext;
  }

  get kernel(): Kernel.IKernelConnection | null {
    return this.sessionContext.session?.kernel ?? null;
  }

  /** Asks the kernel for the studio; the one it has for this tab, edits and all, or a new one. */
  async display(): Promise<void> {
    if (this.isDisposed) return;
    const number = ++this._asked;
    this.say("Opening the model …");
    const { options } = this;
    if (options.own && !this._host) this._host = await hostWidgets(this.sessionContext, options.rendermime);
    if (this.isDisposed) return;
    let reply: KernelMessage.IExecuteReplyMsg | undefined;
    try {
      const code = showing(options.shown, options.settings());
      reply = await SimplifiedOutputArea.execute(code, this.area, this.sessionContext, {
        "model-surgery": true,
      });
    } catch {
      return; // the kernel went away meanwhile; another display follows once there is one again
    }
    if (this.isDisposed || number !== this._asked) return;
    if (reply?.content.status === "error") this._refuse(reply.content);
    else this.say(null);
  }

  override dispose(): void {
    if (this.isDisposed) return;
    this._asked++;
    // Views first: they say farewell to their models, whose comms need the kernel.
    this.area.dispose();
    this._host?.dispose();
    super.dispose();
    if (this.options.own) this.sessionContext.dispose();
  }

  /** A sentence in place of the studio; null for the studio. */
  say(text: string | null, problem = false): void {
    this._said.node.textContent = text;
    this._said.setHidden(text === null);
    this.node.dataset.state = text === null ? "shown" : problem ? "refused" : "waiting";
  }

  private _refuse({ ename, evalue }: { ename: string; evalue: string }): void {
    this.area.model.clear();
    const name = this.sessionContext.kernelDisplayName;
    const missing = ename === "ModuleNotFoundError" && /'(widgets|surgery|graph)/.test(evalue);
    const text = missing
      ? `The kernel “${name}” has no Model Surgery. Try: pip install model-surgery there, or choose another kernel above.`
      : ename === "SurgeryError"
        ? evalue
        : `${ename}: ${evalue}`;
    this.say(text, true);
  }

  private _onStatus(_: ISessionContext, status: Kernel.Status): void {
    if (status === "restarting" || status === "autorestarting") {
      this._restarted = true;
      this.say("Restarting the kernel …");
    } else if (status === "dead") {
      this.say(
        "The kernel has died. Try: restart it above; edits that were not saved can be restored.",
        true,
      );
    } else if (status === "idle" && this._restarted) {
      this._restarted = false;
      this.area.model.clear();
      void this.display();
    }
  }

  private _onKernel(
    _: ISessionContext,
    { oldValue, newValue }: { oldValue: unknown; newValue: unknown },
  ): void {
    if (!oldValue || !newValue || !this.sessionContext.isReady) return; // the first is awaited by `ready`
    this.area.model.clear();
    void this.display();
  }

  private _said = new Widget();
  private _host: IDisposable | null = null;
  private _asked = 0;
  private _restarted = false;
}

/** A tab around a panel that is no document. */
export function tabOf(content: StudioPanel, label: string, caption: string): StudioTab {
  const tab = new MainAreaWidget({ content });
  tab.title.icon = markIcon;
  tab.title.label = label;
  tab.title.caption = caption;
  tab.title.closable = true;
  return tab;
}
