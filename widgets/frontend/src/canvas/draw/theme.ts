// The neutral colours for the canvas, read from the stylesheet so that they live in one place.

const TOKENS = {
  ink: "--ms-ink",
  soft: "--ms-soft",
  faint: "--ms-faint",
  line: "--ms-line",
  edge: "--ms-edge",
  surface: "--ms-surface",
  raised: "--ms-raised",
  ground: "--ms-ground",
  calm: "--ms-calm",
  accent: "--ms-accent",
  accentSoft: "--ms-accent-soft",
  worse: "--ms-worse",
} as const;

export type Theme = Record<keyof typeof TOKENS, string>;

/** A probe element resolves `light-dark()` and `var()`, which reading the property itself does not. */
export function readTheme(root: HTMLElement): Theme {
  const probe = document.createElement("i");
  probe.style.position = "absolute";
  probe.style.visibility = "hidden";
  root.append(probe);
  const entries = Object.entries(TOKENS).map(([name, token]) => {
    probe.style.color = `var(${token})`;
    return [name, getComputedStyle(probe).color];
  });
  probe.remove();
  return Object.fromEntries(entries) as Theme;
}

/** Calls back when the page or the system turns light or dark. */
export function onThemeChange(callback: () => void): () => void {
  const query = matchMedia("(prefers-color-scheme: dark)");
  query.addEventListener("change", callback);
  const observer = new MutationObserver(callback);
  observer.observe(document.body, { attributes: true, attributeFilter: ["data-jp-theme-light", "class"] });
  return () => {
    query.removeEventListener("change", callback);
    observer.disconnect();
  };
}
