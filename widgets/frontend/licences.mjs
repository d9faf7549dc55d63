// The licences of whatever others wrote that is in the bundles, as their packages carry them.
import { existsSync } from "node:fs";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";

const inPackage = /^(.*node_modules\/((?:@[^/]+\/)?[^/]+))\//;

/** Writes one text about the packages of `inputs`, files of a bundle; fails where one says no licence. */
export async function writeLicences(inputs, root, file) {
  const folders = new Map();
  const abouts = new Map();
  for (const input of inputs) {
    const [, folder, name] = inPackage.exec(input.replaceAll("\\", "/")) ?? [];
    if (name) folders.set(name, resolve(root, folder));
  }
  for (const [name, folder] of folders) {
    const about = JSON.parse(await readFile(join(folder, "package.json"), "utf8"));
    abouts.set(name, about);
    // Some come bundled already with what they depend on.
    for (const other of Object.keys(about.dependencies ?? {})) {
      if (!folders.has(other)) folders.set(other, join(root, "node_modules", other));
    }
  }
  const parts = [];
  for (const [name, folder] of [...folders].sort()) {
    const about = abouts.get(name);
    const found = (await readdir(folder)).find((entry) => /^(licen[cs]e|copying)/i.test(entry));
    if (!found || !about.license) throw new Error(`${name}: its package carries no licence`);
    const text = (await readFile(join(folder, found), "utf8")).trim();
    const notice = existsSync(join(folder, "NOTICE"))
      ? `\n\n${(await readFile(join(folder, "NOTICE"), "utf8")).trim()}`
      : "";
    parts.push(`${name} ${about.version} (${about.license})\n\n${text}${notice}\n`);
  }
  const rule = `\n${"-".repeat(80)}\n\n`;
  await writeFile(file, `Software of others in the panels of Model Surgery.\n${rule}${parts.join(rule)}`);
}
