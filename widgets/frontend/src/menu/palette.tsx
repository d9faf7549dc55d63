// Every command by a few typed letters.
import { useEffect, useRef, useState } from "preact/hooks";
import { focusFirst, Sheet } from "../shared/sheet";
import type { Command } from "./protocol";
import { found } from "./search";

interface Props {
  commands: Command[];
  run: (command: Command) => void;
  close: () => void;
}

export function Palette({ commands, run, close }: Props) {
  const [typed, setTyped] = useState("");
  const [place, setPlace] = useState(0);
  const list = useRef<HTMLDivElement>(null);
  const shown = found(commands, typed);
  const at = Math.min(place, shown.length - 1);
  const chosen = shown[at];
  useEffect(() => {
    list.current?.querySelector('[aria-selected="true"]')?.scrollIntoView({ block: "nearest" });
  }, [at, typed]);
  const onKeyDown = (event: KeyboardEvent) => {
    const steps: Record<string, number> = { ArrowDown: 1, ArrowUp: -1, PageDown: 8, PageUp: -8 };
    const step = steps[event.key];
    if (step !== undefined) {
      event.preventDefault();
      setPlace(Math.max(0, Math.min(shown.length - 1, at + step)));
    } else if (event.key === "Enter" && chosen && chosen.reason === null) {
      event.preventDefault();
      run(chosen);
    }
  };
  return (
    <Sheet label="All commands" close={close}>
      <input
        class="ms-input ms-palette-input"
        role="combobox"
        aria-label="Command"
        aria-expanded="true"
        aria-controls="ms-palette-list"
        aria-activedescendant={chosen ? idOf(chosen) : undefined}
        placeholder="What would you like to do?"
        spellcheck={false}
        value={typed}
        ref={focusFirst}
        onInput={(event) => {
          setTyped(event.currentTarget.value);
          setPlace(0);
        }}
        onKeyDown={onKeyDown}
      />
      <div
        class="ms-scroll ms-palette-list"
        id="ms-palette-list"
        role="listbox"
        aria-label="Commands"
        ref={list}
      >
        {shown.map((command) => (
          // biome-ignore lint/a11y/useKeyWithClickEvents: the input above has the keys
          <div
            key={command.name}
            id={idOf(command)}
            role="option"
            tabIndex={-1}
            aria-selected={command === chosen}
            aria-disabled={command.reason !== null}
            class="ms-command"
            title={command.summary || undefined}
            onPointerMove={() => setPlace(shown.indexOf(command))}
            onClick={() => command.reason === null && run(command)}
          >
            <span>{command.title}</span>
            <span class="ms-faint ms-clip">{command.reason ?? command.group}</span>
            {command.key && <kbd>{command.key}</kbd>}
          </div>
        ))}
        {shown.length === 0 && <p class="ms-faint ms-none-found">Nothing is called so.</p>}
      </div>
    </Sheet>
  );
}

const idOf = (command: Command) => `ms-command-${command.name.replace(/\W/g, "-")}`;
