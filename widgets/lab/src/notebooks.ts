// To and from notebooks: the studio on a variable of one, and the script of a studio as a cell.
import type { JupyterFrontEnd } from "@jupyterlab/application";
import { InputDialog, Notification, showErrorMessage } from "@jupyterlab/apputils";
import { type INotebookTracker, NotebookActions, type NotebookPanel } from "@jupyterlab/notebook";
import type { CommandRegistry } from "@lumino/commands";
import { ask, call, type Variable } from "./kernel";
import type { StudioTab } from "./panel";

/** The variable of this notebook that is meant: the only one, or the one chosen; null if none. */
export async function chooseVariable(panel: NotebookPanel): Promise<Variable | null> {
  const kernel = panel.sessionContext.session?.kernel;
  if (!kernel) {
    await showErrorMessage(
      "Model Surgery",
      "This notebook has no kernel yet. Run the cell that makes the model.",
    );
    return null;
  }
  let found: Variable[];
  try {
    found = await ask<Variable[]>(kernel, call("variables"));
  } catch (error) {
    await showErrorMessage("Model Surgery", `This kernel was asked for its models, and failed: ${error}`);
    return null;
  }
  const [only, ...others] = found;
  if (!only) {
    await showErrorMessage(
      "Model Surgery",
      "No variable of this kernel holds a torch model (nn.Module). Run the cell that makes one, then try again.",
    );
    return null;
  }
  if (others.length === 0) return only;
  const labels = found.map(({ name, kind, detail }) => `${name} — ${kind}, ${detail}`);
  const { value } = await InputDialog.getItem({
    title: "Open which model?",
    items: labels,
    okLabel: "Open",
  });
  return value === null ? null : (found[labels.indexOf(value)] ?? null);
}

/** Puts the script of a studio into a cell: of its own notebook, the current one, or a new one. */
export async function sendToNotebook(
  tab: StudioTab,
  tracker: INotebookTracker,
  app: JupyterFrontEnd,
): Promise<void> {
  const { kernel, options } = tab.content;
  if (!kernel) return;
  const { shown } = options;
  let code: string;
  try {
    code = await ask<string>(
      kernel,
      call("script", shown.kind === "variable" ? shown.variable : shown.source),
    );
  } catch (error) {
    await showErrorMessage("Model Surgery", `There is no script to send: ${error}`);
    return;
  }
  const own =
    shown.kind === "variable" ? tracker.find((panel) => panel.context.path === shown.notebook) : null;
  const panel = own ?? tracker.currentWidget ?? (await created(app.commands, tab));
  await panel.context.ready;
  await panel.revealed;
  const { content } = panel;
  const model = content.activeCell?.model;
  if (model?.type !== "code" || model.sharedModel.getSource().trim()) NotebookActions.insertBelow(content);
  content.activeCell?.model.sharedModel.setSource(code);
  const name = panel.context.localPath.split("/").pop();
  Notification.success(`The script is a cell of ${name} now.`, { autoClose: 4000 });
  app.shell.activateById(panel.id);
}

async function created(commands: CommandRegistry, tab: StudioTab): Promise<NotebookPanel> {
  const path = tab.content.sessionContext.path;
  const kernelName = tab.content.kernel?.name;
  return (await commands.execute("notebook:create-new", {
    cwd: path.slice(0, Math.max(0, path.lastIndexOf("/"))),
    kernelName,
    activate: false,
  })) as NotebookPanel;
}
