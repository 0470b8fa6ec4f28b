// Copies scripts into the theme's folder, with the licences of what is in them.
import { copyFile, readdir, readFile, writeFile } from "node:fs/promises";

const OUT = "../theme/assets";
const SCRIPTS = [
  ["@mermaid-js/tiny", "dist/mermaid.tiny.js", "mermaid.js"],
  ["iframe-worker", "shim/index.js", "iframe-worker.js"],
];

const texts = [];
for (const [name, from, to] of SCRIPTS) {
  const folder = `node_modules/${name}`;
  await copyFile(`${folder}/${from}`, `${OUT}/${to}`);
  const { version, license } = JSON.parse(await readFile(`${folder}/package.json`, "utf8"));
  const file = (await readdir(folder)).find((each) => /^licen[cs]e/i.test(each));
  const text = file ? await readFile(`${folder}/${file}`, "utf8") : `Licence: ${license}`;
  texts.push(`${to}: ${name} ${version}\n\n${text.trim()}\n`);
}
await writeFile(`${OUT}/licenses.txt`, texts.join(`\n${"-".repeat(80)}\n\n`));
