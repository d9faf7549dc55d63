import type { KeyMessage } from "../shared/protocol";
import { type Infer, list, maybe, object, text, word } from "../shared/shape";

export const menuState = object({
  /** Everything that can be asked for; `reason` says why not now. */
  commands: list(
    object({
      name: text,
      title: text,
      group: text,
      key: maybe(text),
      about: word("selection", "studio"),
      reason: maybe(text),
      summary: text,
    }),
  ),
  selection: list(text),
});
export type MenuState = Infer<typeof menuState>;
export type Command = MenuState["commands"][number];
export type MenuMessage = KeyMessage | { type: "run"; name: string };
