import type { Contents } from "@jupyterlab/services";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { isModelFolder, ModelFolders } from "../src/folders";

const RESTED_MS = 100;
const FOLDERS: Record<string, { name: string; type: string }[]> = {
  model: [
    { name: "config.json", type: "file" },
    { name: "model.safetensors", type: "file" },
  ],
  notes: [{ name: "todo.md", type: "file" }],
  odd: [{ name: "config.json", type: "directory" }],
};

/** A server with these folders; `asked` has the paths in order. */
function server() {
  const asked: string[] = [];
  const get = async (path: string) => {
    asked.push(path);
    const content = FOLDERS[path];
    if (!content) throw new Error("404");
    return { content };
  };
  return { asked, contents: { get } as unknown as Contents.IManager };
}

describe("a folder of a model", () => {
  it("has a config that is a file", async () => {
    const { contents } = server();
    expect(await isModelFolder(contents, "model")).toBe(true);
    expect(await isModelFolder(contents, "notes")).toBe(false);
    expect(await isModelFolder(contents, "odd")).toBe(false);
  });
});

describe("the folders of a listing", () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  /** A listing with an item for each name, which the pointer enters by `over`. */
  function listing(names: string[]) {
    const { asked, contents } = server();
    const folders = new ModelFolders(contents);
    const node = document.createElement("div");
    for (const name of names) {
      const item = document.createElement("li");
      item.className = "jp-DirListing-item";
      item.append(Object.assign(document.createElement("span"), { textContent: name }));
      node.append(item);
    }
    folders.watch(node, (item) => item.textContent);
    const over = (index: number) =>
      node.querySelectorAll("span")[index]?.dispatchEvent(new Event("pointerover", { bubbles: true }));
    return { folders, asked, over };
  }

  it("are looked at where the pointer rests, not where it passes", async () => {
    const { folders, asked, over } = listing(["model", "notes"]);
    over(0);
    over(1);
    await vi.advanceTimersByTimeAsync(RESTED_MS);
    expect(asked).toEqual(["notes"]);
    expect(folders.mayBe("notes")).toBe(false);
  });

  it("may be models until they were looked at, and when they could not be", async () => {
    const { folders, asked, over } = listing(["model", "gone"]);
    expect(folders.mayBe("model")).toBe(true);
    over(1);
    await vi.advanceTimersByTimeAsync(RESTED_MS);
    expect(asked).toEqual(["gone"]);
    expect(folders.mayBe("gone")).toBe(true);
  });
});
