// Bundles the extension into widgets/labextension, as JupyterLab loads it, and gathers what it is made of.
import { spawnSync } from "node:child_process";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const modules = join(here, "node_modules");
const core = join(modules, "@jupyterlab/core-meta/core.package.json");
// Called by its file: jupyter-builder in Python would look for yarn, and for versions on the network.
const builder = join(modules, "@jupyter/builder/lib/build-labextension.js");
const more = process.argv.includes("--watch") ? ["--watch", "--development"] : [];
const { status } = spawnSync(process.execPath, [builder, "--core-package-file", core, ...more, "."], {
  cwd: here,
  stdio: "inherit",
});
process.exit(status ?? 1);
