import type { DocumentRegistry } from "@jupyterlab/docregistry";
import type { Contents } from "@jupyterlab/services";
import { describe, expect, it, vi } from "vitest";
import { FACTORY, isOpenable, registerDocuments, type StudioDocument } from "../src/documents";

vi.mock("@jupyterlab/docregistry", () => ({
  ABCWidgetFactory: class {
    constructor(readonly options: object) {}
  },
  TextModelFactory: class {},
}));
vi.mock("@jupyterlab/ui-components", () => ({ LabIcon: class {}, jsonIcon: {} }));

type FileType = Partial<DocumentRegistry.IFileType>;

/** What is registered with a drive whose files say how they were asked for. */
function registered(providers = true) {
  const types: FileType[] = [];
  const factories: { options: DocumentRegistry.IWidgetFactoryOptions }[] = [];
  const models: { name: string }[] = [];
  const given = new Map<string, Contents.IDrive>();
  const asked: unknown[] = [];
  const drive = {
    contentProviderRegistry: providers
      ? { register: (id: string, provider: Contents.IDrive) => given.set(id, provider) }
      : undefined,
    get: async (path: string, options: unknown) => {
      asked.push(options);
      return { path, writable: true, content: null, format: null };
    },
  };
  const registry = {
    addFileType: (type: FileType) => types.push(type),
    addModelFactory: (model: { name: string }) => models.push(model),
    addWidgetFactory: (factory: (typeof factories)[0]) => factories.push(factory),
  };
  registerDocuments(
    registry as unknown as DocumentRegistry,
    { defaultDrive: drive } as unknown as Contents.IManager,
    () => ({}) as StudioDocument,
  );
  return { types, factories, models, given, asked };
}

describe("“Open with Model Surgery”", () => {
  it("stands in the menu of weights, of their index and of scripts", () => {
    for (const name of ["model.safetensors", "model.safetensors.index.json", "halved.surgery.json"])
      expect(isOpenable(name), name).toBe(true);
  });

  it("does not stand in that of anything else", () => {
    for (const name of [
      "config.json",
      "safetensors",
      "model.safetensors.bak",
      "surgery.json.txt",
      "a.py",
      "",
    ])
      expect(isOpenable(name), name).toBe(false);
  });
});

describe("the documents", () => {
  it("are weights, indexes, scripts and configs; a double click on weights opens the studio", () => {
    const { types, factories, models } = registered();
    const [factory] = factories;
    expect(factory?.options.name).toBe(FACTORY);
    expect(factory?.options.fileTypes).toEqual(types.map(({ name }) => name));
    expect(factory?.options.defaultFor).toEqual(["safetensors"]);
    expect(factory?.options.readOnly).toBe(true);
    expect(models.map(({ name }) => name)).toEqual([factory?.options.modelName]);
  });

  it("call a config by its whole name", () => {
    const pattern = registered().types.find(({ name }) => name === "model-config")?.pattern ?? "";
    expect(
      ["config.json", "my-config.json", "config_json", "config.json5"].map((it) => RegExp(pattern).test(it)),
    ).toEqual([true, false, false, false]);
  });

  it("are never downloaded, and nothing is written to them", async () => {
    const { given, asked, factories } = registered();
    const provider = given.get(factories[0]?.options.contentProviderId ?? "");
    const nothing = { path: "model.safetensors", content: "", format: "text", writable: false };
    expect(await provider?.get("model.safetensors")).toEqual(nothing);
    expect(await provider?.save("model.safetensors")).toEqual(nothing);
    expect(asked).toEqual(Array(2).fill({ type: "file", content: false }));
  });

  it("are none where their content could not be kept back", () => {
    const { types, factories, models } = registered(false);
    expect([types, factories, models]).toEqual([[], [], []]);
  });
});
