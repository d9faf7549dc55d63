// The list of keys.
import { focusFirst, Sheet } from "../shared/sheet";
import type { Command } from "./protocol";

const VIEW: readonly (readonly [string, string])[] = [
  ["← → ↑ ↓", "Move the selection"],
  ["Shift + arrow", "Extend it"],
  ["Ctrl + click", "Add to it, or take from it"],
  ["Shift + drag", "Select what is in a box"],
  ["Enter, double click", "Open the module"],
  ["/", "Search by selector"],
  ["F", "Show all"],
  ["Z", "Zoom to the selection"],
  ["+ −, wheel", "Zoom"],
  ["Shift-F10, right click", "Menu at the selection"],
  ["Ctrl-K", "All commands"],
  ["Esc", "Cancel, then select nothing"],
  ["?", "This list"],
];

export function Keys({ commands, close }: { commands: Command[]; close: () => void }) {
  const own = commands.filter((command) => command.key !== null && command.name !== "open");
  return (
    <Sheet label="Keys" close={close}>
      <header class="ms-sheet-head">
        <b class="ms-heading">Keys</b>
        <button type="button" class="ms-close" aria-label="Close" ref={focusFirst} onClick={close}>
          ×
        </button>
      </header>
      <div class="ms-scroll ms-keys">
        <dl>
          {own.map((command) => (
            <div key={command.name}>
              <dt>
                <kbd>{command.key}</kbd>
              </dt>
              <dd>{command.title}</dd>
            </div>
          ))}
        </dl>
        <dl>
          {VIEW.map(([key, what]) => (
            <div key={key}>
              <dt>
                <kbd>{key}</kbd>
              </dt>
              <dd>{what}</dd>
            </div>
          ))}
        </dl>
      </div>
    </Sheet>
  );
}
