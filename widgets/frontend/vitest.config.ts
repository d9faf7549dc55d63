import { defineConfig } from "vitest/config";

/** Workers are inlined by the bundler; a test has none, and lays out in place. */
const noWorkers = {
  name: "no-workers",
  enforce: "pre" as const,
  resolveId: (id: string) => (id.startsWith("worker:") ? `\0${id}` : null),
  load: (id: string) => (id.startsWith("\0worker:") ? 'export default ""' : null),
};

export default defineConfig({
  plugins: [noWorkers],
  oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
  test: { environment: "happy-dom", include: ["tests/**/*.test.{ts,tsx}"], maxWorkers: 1 },
});
