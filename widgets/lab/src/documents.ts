// Files of models and scripts as documents that nobody downloads: the kernel reads them, not the page.
import {
  ABCWidgetFactory,
  type DocumentRegistry,
  type DocumentWidget,
  TextModelFactory,
} from "@jupyterlab/docregistry";
import type { Contents } from "@jupyterlab/services";
import { jsonIcon } from "@jupyterlab/ui-components";
import { markIcon } from "./icon";
import type { StudioPanel } from "./panel";

export const FACTORY = "Model Surgery";
const UNREAD = "model-surgery-unread";

const WEIGHTS = "safetensors";
const OTHERS = ["safetensors-index", "surgery-script", "model-config"];

export type StudioDocument = DocumentWidget<StudioPanel>;

/**
 * Names and metadata, never content: the usual provider would send eight gigabytes to the page, have them
 * hashed, and copied into `.ipynb_checkpoints`, which it makes of whatever is writable.
 */
class Unread implements Pick<Contents.IDrive, "get" | "save"> {
  constructor(private readonly drive: Contents.IDrive) {}

  async get(path: string): Promise<Contents.IModel> {
    const model = await this.drive.get(path, { type: "file", content: false });
    return { ...model, content: "", format: "text", writable: false };
  }

  async save(path: string): Promise<Contents.IModel> {
    return this.get(path); // what the studio saves the kernel writes
  }
}

/** A model factory of its own, else an editor on the same script would share this empty document. */
class UnreadModels extends TextModelFactory {
  override get name(): string {
    return UNREAD;
  }

  override get fileFormat(): Contents.FileFormat {
    return null;
  }
}

class StudioDocuments extends ABCWidgetFactory<StudioDocument> {
  constructor(private readonly make: (context: DocumentRegistry.Context) => StudioDocument) {
    super({
      name: FACTORY,
      modelName: UNREAD,
      fileTypes: [WEIGHTS, ...OTHERS],
      defaultFor: [WEIGHTS],
      contentProviderId: UNREAD,
      readOnly: true,
    });
  }

  protected override createNewWidget(context: DocumentRegistry.Context): StudioDocument {
    // A question for checkpoints makes their folder, beside the model's files.
    Object.assign(context, { listCheckpoints: async () => [] });
    return this.make(context);
  }
}

/** Registers the file types and the factory that opens them; `make` wraps a studio into a document. */
export function registerDocuments(
  registry: DocumentRegistry,
  contents: Contents.IManager,
  make: (context: DocumentRegistry.Context) => StudioDocument,
): void {
  const drive = (contents as { defaultDrive?: Contents.IDrive }).defaultDrive;
  if (!drive?.contentProviderRegistry) return; // a JupyterLab before 4.4: without it, no documents
  drive.contentProviderRegistry.register(UNREAD, new Unread(drive));
  const text: Partial<DocumentRegistry.IFileType> = { contentType: "file", fileFormat: "text" };
  const json = { ...text, mimeTypes: ["application/json"] };
  registry.addFileType({
    ...text,
    name: WEIGHTS,
    displayName: "Model weights",
    extensions: [".safetensors"],
    mimeTypes: ["application/octet-stream"],
    fileFormat: "base64",
    icon: markIcon,
  });
  registry.addFileType({
    ...json,
    name: "safetensors-index",
    displayName: "Model weights, index",
    extensions: [".safetensors.index.json"],
    icon: markIcon,
  });
  registry.addFileType({
    ...json,
    name: "surgery-script",
    displayName: "Edit script",
    extensions: [".surgery.json"],
    icon: markIcon,
  });
  registry.addFileType({
    ...json,
    name: "model-config",
    displayName: "Model config",
    pattern: "^config\\.json$",
    icon: jsonIcon,
  });
  registry.addModelFactory(new UnreadModels());
  registry.addWidgetFactory(new StudioDocuments(make));
}

/** Whether a file of this name opens as a studio. */
export function isOpenable(name: string): boolean {
  return /\.safetensors$|\.safetensors\.index\.json$|\.surgery\.json$/.test(name);
}
