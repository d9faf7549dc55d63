// The extension: its commands, and where they stand. What JupyterLab or Notebook lack is left out.
import {
  ILabShell,
  ILayoutRestorer,
  type JupyterFrontEnd,
  type JupyterFrontEndPlugin,
} from "@jupyterlab/application";
import {
  ICommandPalette,
  ISessionContextDialogs,
  SessionContextDialogs,
  WidgetTracker,
} from "@jupyterlab/apputils";
import { IDefaultFileBrowser } from "@jupyterlab/filebrowser";
import { ILauncher } from "@jupyterlab/launcher";
import { INotebookTracker } from "@jupyterlab/notebook";
import { IRenderMimeRegistry } from "@jupyterlab/rendermime";
import { ISettingRegistry } from "@jupyterlab/settingregistry";
import { addBrowserCommand } from "./browser";
import { registerDocuments } from "./documents";
import { markIcon } from "./icon";
import { addNotebookCommand } from "./notebook_command";
import { Opener } from "./opener";
import type { StudioTab } from "./panel";
import { Settings } from "./settings";

export const OPEN = "model-surgery:open";

const plugin: JupyterFrontEndPlugin<void> = {
  id: "model-surgery:plugin",
  description: "The studio of Model Surgery as a tab, on files, folders and variables of notebooks.",
  autoStart: true,
  requires: [IRenderMimeRegistry],
  optional: [
    ILabShell,
    ILayoutRestorer,
    ICommandPalette,
    ILauncher,
    IDefaultFileBrowser,
    INotebookTracker,
    ISettingRegistry,
    ISessionContextDialogs,
  ],
  activate,
};

export default plugin;

function activate(
  app: JupyterFrontEnd,
  rendermime: IRenderMimeRegistry,
  labShell: ILabShell | null,
  restorer: ILayoutRestorer | null,
  palette: ICommandPalette | null,
  launcher: ILauncher | null,
  browser: IDefaultFileBrowser | null,
  notebooks: INotebookTracker | null,
  registry: ISettingRegistry | null,
  dialogs: ISessionContextDialogs | null,
): void {
  const { commands } = app;
  const tracker = new WidgetTracker<StudioTab>({ namespace: "model-surgery" });
  const settings = new Settings(registry, plugin.id, tracker);
  const opener = new Opener(
    app,
    rendermime,
    dialogs ?? new SessionContextDialogs(),
    tracker,
    settings,
    notebooks,
    labShell !== null,
  );

  commands.addCommand(OPEN, {
    label: "Model Surgery",
    caption: "Open a model as a graph, edit it, measure every cut",
    icon: (args) => (args.isPalette ? undefined : markIcon),
    describedBy: { args: { type: "object", properties: { cwd: { type: "string" } } } },
    execute: (args) => opener.open(args),
  });
  registerDocuments(app.docRegistry, app.serviceManager.contents, (context) => opener.document(context));
  if (browser) addBrowserCommand(app, browser, opener);
  if (notebooks) addNotebookCommand(app, notebooks, opener);

  if (labShell) {
    palette?.addItem({ command: OPEN, category: "Other", args: { isPalette: true } });
    launcher?.add({ command: OPEN, category: "Other", rank: 1 });
  }
  void restorer?.restore(tracker, {
    command: OPEN,
    args: (tab) => tab.content.options.again,
    name: (tab) => JSON.stringify(tab.content.options.again),
    ...(notebooks ? { when: notebooks.restored } : {}),
  });
}
