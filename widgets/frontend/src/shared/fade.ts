// What a plan would take fades on the graph while a person drags: from panel to panel, with no word to Python.
const EVENT = "ms-fade";

/** Has the graph of the studio around `inside` draw these paths as if they were going; none for all as they are. */
export function fade(inside: Element, paths: readonly string[]): void {
  inside.closest(".ms-studio")?.dispatchEvent(new CustomEvent(EVENT, { detail: { paths } }));
}

/** Listens on the studio that `root` hangs in; call it once the panel hangs in the page. */
export function hearFade(root: Element, draw: (paths: string[]) => void, signal: AbortSignal): void {
  root.closest(".ms-studio")?.addEventListener(
    EVENT,
    (event) => {
      const { paths } = (event as CustomEvent<{ paths?: unknown } | null>).detail ?? {};
      draw(Array.isArray(paths) ? paths.filter((path) => typeof path === "string") : []);
    },
    { signal },
  );
}
