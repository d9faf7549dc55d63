// The button over notebooks: the studio on a model that a variable of the notebook's kernel holds.
import type { JupyterFrontEnd } from "@jupyterlab/application";
import { type INotebookTracker, NotebookActions } from "@jupyterlab/notebook";
import { markIcon } from "./icon";
import { chooseVariable } from "./notebooks";
import type { Opener } from "./opener";

/** The toolbar names it (`schema/plugin.json`). */
export const OPEN_VARIABLE = "model-surgery:open-variable";

export function addNotebookCommand(app: JupyterFrontEnd, notebooks: INotebookTracker, opener: Opener): void {
  app.commands.addCommand(OPEN_VARIABLE, {
    label: "Open a Model of This Notebook in Model Surgery",
    caption: "Model Surgery on a model of this notebook",
    icon: markIcon,
    describedBy: { args: { type: "object", properties: {} } },
    isEnabled: () => notebooks.currentWidget !== null,
    execute: async () => {
      const panel = notebooks.currentWidget;
      const variable = panel && (await chooseVariable(panel));
      if (!panel || !variable) return;
      if (opener.tabs) return opener.open({ notebook: panel.context.path, variable: variable.name });
      // Notebook has no tabs: a cell shows it.
      NotebookActions.insertBelow(panel.content);
      panel.content.activeCell?.model.sharedModel.setSource(`import surgery\n\n${variable.code}`);
      return NotebookActions.run(panel.content, panel.sessionContext);
    },
  });
}
