import { flag, type Infer, list, maybe, number, object, text, word } from "../shared/shape";

const entry = object({
  name: text,
  path: text,
  kind: word("folder", "model", "script"),
  /** The size of the weights. */
  detail: text,
  /** Whether the weights have room in memory; else only the structure is opened. */
  fits: flag,
});
export const filesState = object({
  shown: maybe(
    object({
      folder: text,
      parts: list(object({ name: text, path: text })),
      entries: list(entry),
      /** How many more the folder has. */
      hidden: number(),
      /** The folder itself, where it is a model. */
      here: maybe(entry),
      recent: list(text),
      demos: list(text),
      problem: maybe(object({ text, hint: text })),
    }),
  ),
});
export type FilesState = Infer<typeof filesState>;
export type Shown = NonNullable<FilesState["shown"]>;
export type Entry = Shown["entries"][number];
export type FilesMessage =
  | { type: "browse"; path: string }
  | { type: "open"; source: string; skeleton: boolean }
  | { type: "close" };
