// Widgets outside a notebook: the widget manager that notebooks have, on a kernel of a tab's own.
import type { ISessionContext } from "@jupyterlab/apputils";
import type { DocumentRegistry } from "@jupyterlab/docregistry";
import type { INotebookModel } from "@jupyterlab/notebook";
import type { IRenderMimeRegistry } from "@jupyterlab/rendermime";
import type { IDisposable } from "@lumino/disposable";
import { Signal } from "@lumino/signaling";

/**
 * Widgets of this kernel are drawn by `rendermime` from now on, until what is returned is disposed.
 *
 * The manager wants a notebook; of that it uses the session, and metadata to save, of which there are none.
 * A bare `KernelWidgetManager` knows no widgets.
 */
export async function hostWidgets(
  sessionContext: ISessionContext,
  rendermime: IRenderMimeRegistry,
): Promise<IDisposable> {
  const { registerWidgetManager } = await import("@jupyter-widgets/jupyterlab-manager");
  const unasked = {};
  const context = {
    sessionContext,
    saveState: new Signal(unasked),
    model: { getMetadata: () => undefined, setMetadata: () => undefined },
    urlResolver: { resolveUrl: async (url: string) => url, getDownloadUrl: async (url: string) => url },
  };
  return registerWidgetManager(
    context as unknown as DocumentRegistry.IContext<INotebookModel>,
    rendermime,
    [][Symbol.iterator](),
  );
}
