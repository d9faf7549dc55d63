// "Open with Model Surgery" in the menu of the file browser.
import type { JupyterFrontEnd } from "@jupyterlab/application";
import type { FileBrowser } from "@jupyterlab/filebrowser";
import type { Contents } from "@jupyterlab/services";
import { isOpenable } from "./documents";
import { ModelFolders } from "./folders";
import { markIcon } from "./icon";
import type { Opener } from "./opener";

export const OPEN_WITH = "model-surgery:open-with";

/** The command on what is selected in the browser, where that is one thing that can be opened. */
export function addBrowserCommand(app: JupyterFrontEnd, browser: FileBrowser, opener: Opener): void {
  const folders = new ModelFolders(app.serviceManager.contents);
  folders.watch(browser.node, (item) => {
    if (item.dataset.isdir !== "true") return null;
    const name = item.querySelector(".jp-DirListing-itemText")?.textContent;
    return [...browser.model.items()].find((entry) => entry.name === name)?.path ?? null;
  });

  const one = (): Contents.IModel | null => {
    const selected = [...browser.selectedItems()];
    return selected.length === 1 ? (selected[0] ?? null) : null;
  };
  const fits = (item: Contents.IModel | null) =>
    item !== null && (item.type === "directory" ? folders.mayBe(item.path) : isOpenable(item.name));

  app.commands.addCommand(OPEN_WITH, {
    label: "Open with Model Surgery",
    icon: markIcon,
    describedBy: { args: { type: "object", properties: {} } },
    isVisible: () => fits(one()),
    isEnabled: () => one() !== null,
    execute: async () => {
      const item = one();
      if (item) await opener.open(item.type === "directory" ? { folder: item.path } : { file: item.path });
    },
  });
  app.contextMenu.addItem({
    command: OPEN_WITH,
    selector: ".jp-DirListing-item",
    rank: 1.5, // right after Open
  });
}
