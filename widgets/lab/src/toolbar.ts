// The bar over a studio: its kernel and how that is, restart, and the script into a notebook.
import { type ISessionContext, Toolbar, ToolbarButton } from "@jupyterlab/apputils";
import { notebookIcon, refreshIcon } from "@jupyterlab/ui-components";
import { Widget } from "@lumino/widgets";
import type { StudioTab } from "./panel";

/** Fills the bar of a tab; `send` is absent where there are no notebooks. */
export function fillToolbar(
  tab: StudioTab,
  dialogs: ISessionContext.IDialogs,
  send: ((tab: StudioTab) => Promise<void>) | null,
): void {
  const { sessionContext } = tab.content;
  tab.toolbar.node.setAttribute("aria-label", "Model Surgery");
  if (send) {
    const button = new ToolbarButton({
      icon: notebookIcon,
      label: "Send to notebook",
      tooltip: "Put the script so far into a notebook, as Python",
      onClick: () => void send(tab),
    });
    tab.toolbar.addItem("send", button);
  }
  tab.toolbar.addItem("spacer", Toolbar.createSpacerItem());
  tab.toolbar.addItem(
    "restart",
    new ToolbarButton({
      icon: refreshIcon,
      tooltip: "Restart the kernel; edits that were not saved can be restored",
      onClick: () => void dialogs.restart(sessionContext),
    }),
  );
  tab.toolbar.addItem("kernelName", Toolbar.createKernelNameItem(sessionContext, dialogs));
  tab.toolbar.addItem("status", new KernelStatus(sessionContext));
}

/** How the kernel is, as a dot and a word. */
class KernelStatus extends Widget {
  constructor(private readonly sessionContext: ISessionContext) {
    super();
    this.addClass("ms-lab-status");
    this.node.setAttribute("role", "status");
    this.node.setAttribute("aria-label", "Kernel status");
    sessionContext.statusChanged.connect(this._show, this);
    sessionContext.connectionStatusChanged.connect(this._show, this);
    sessionContext.sessionChanged.connect(this._show, this);
    void sessionContext.ready.then(() => this._show());
    this._show();
  }

  private _show(): void {
    if (this.isDisposed) return;
    const status = this.sessionContext.kernelDisplayStatus || "no kernel";
    this.node.textContent = status;
    this.node.dataset.status = status;
  }
}
