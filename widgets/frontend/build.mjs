// Bundles each panel into one ES module and the stylesheet into one file, under widgets/static.
import { existsSync, readdirSync } from "node:fs";
import { readdir, readFile, rm, stat } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import * as esbuild from "esbuild";
import { writeLicences } from "./licences.mjs";

const here = dirname(fileURLToPath(import.meta.url));
const outdir = resolve(here, "../static");
const panels = readdirSync(join(here, "src")).filter((name) =>
  existsSync(join(here, "src", name, "index.tsx")),
);
const watch = process.argv.includes("--watch");
const limitBytes = 500_000;

const options = {
  absWorkingDir: here,
  entryPoints: {
    ...Object.fromEntries(panels.map((name) => [name, `src/${name}/index.tsx`])),
    studio: "src/styles/studio.css",
  },
  outdir,
  bundle: true,
  format: "esm",
  target: "es2022",
  minify: true,
  legalComments: "none",
  jsx: "automatic",
  jsxImportSource: "preact",
  logLevel: "warning",
};

if (watch) {
  const context = await esbuild.context({ ...options, logLevel: "info" });
  await context.watch();
} else {
  await rm(outdir, { recursive: true, force: true });
  const { metafile } = await esbuild.build({ ...options, metafile: true });
  await report();
  await writeLicences(Object.keys(metafile.inputs), here, join(outdir, "third-party-licenses.txt"));
}

/** Prints the sizes; fails where a bundle grew past the limit or names another host. */
async function report() {
  let total = 0;
  for (const name of (await readdir(outdir)).sort()) {
    const file = join(outdir, name);
    const { size } = await stat(file);
    total += size;
    console.log(`${String(size).padStart(8)}  ${name}`);
    const hosts = (await readFile(file, "utf8")).match(
      /(?:https?:)?\/\/(?!www\.w3\.org\/)[a-z0-9-]+\.[a-z]{2,}/gi,
    );
    if (hosts) throw new Error(`${name} names another host: ${[...new Set(hosts)].join(", ")}`);
  }
  console.log(`${String(total).padStart(8)}  in all`);
  if (total > limitBytes) throw new Error(`the bundles weigh ${total} bytes; the limit is ${limitBytes}`);
}
