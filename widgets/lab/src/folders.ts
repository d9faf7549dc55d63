// Which folders of the file browser hold a model: looked up while the pointer is on its way to the menu.
import type { Contents } from "@jupyterlab/services";

const REST_MS = 60;

/** Whether a folder holds a model: a config, as transformers writes it. */
export async function isModelFolder(contents: Contents.IManager, path: string): Promise<boolean> {
  const folder = await contents.get(path, { type: "directory", content: true });
  return (folder.content as Contents.IModel[]).some(
    ({ name, type }) => type === "file" && name === "config.json",
  );
}

/** Remembers what was found; a menu must know at once whether to show its item. */
export class ModelFolders {
  constructor(private readonly contents: Contents.IManager) {}

  /** Looks once the pointer rests on an item of a listing; `pathOf` names the folder that an item is. */
  watch(node: HTMLElement, pathOf: (item: HTMLElement) => string | null): void {
    let waiting = 0;
    node.addEventListener("pointerover", ({ target }) => {
      const item = target instanceof Element ? target.closest<HTMLElement>(".jp-DirListing-item") : null;
      const path = item && pathOf(item);
      window.clearTimeout(waiting);
      if (path) waiting = window.setTimeout(() => void this._look(path), REST_MS);
    });
  }

  /** Whether a folder may be one: of what was not looked at, nobody knows. */
  mayBe(path: string): boolean {
    return this._found.get(path) ?? true;
  }

  private async _look(path: string): Promise<void> {
    try {
      this._found.set(path, await isModelFolder(this.contents, path));
    } catch {
      this._found.delete(path); // it is gone, or may not be read
    }
  }

  private _found = new Map<string, boolean>();
}
