// Serves the panels with made-up states on loopback: npm run dev [port]; rebuilds on reload.
import { cp, mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import * as esbuild from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const servedir = await mkdtemp(join(tmpdir(), "ms-dev-"));
for (const page of ["index.html", "shelf.html"]) await cp(join(here, page), join(servedir, page));
const context = await esbuild.context({
  absWorkingDir: dirname(here),
  entryPoints: { main: "dev/main.ts", shelf: "dev/shelf_page.ts", studio: "src/styles/studio.css" },
  outdir: servedir,
  bundle: true,
  format: "esm",
  target: "es2022",
  sourcemap: true,
  jsx: "automatic",
  jsxImportSource: "preact",
});
const { port } = await context.serve({ servedir, host: "127.0.0.1", port: Number(process.argv[2] ?? 8123) });
console.log(
  `http://127.0.0.1:${port}/  (?scene=demo|first|many|busy|wrong, ?crowd=net|strips&count=10000, &only=canvas)`,
);
