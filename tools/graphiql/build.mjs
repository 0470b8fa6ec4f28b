// Bundles the page into the files that the server hands out, with the licences of what is in them.
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { build } from "esbuild";

const OUT = process.argv[2] ?? "../../config/static/config/graphiql";

// GraphiQL's style sheet brings its fonts inline, which the page's Content-Security-Policy refuses; the system's do.
const withoutFonts = {
  name: "without-fonts",
  setup({ onLoad }) {
    onLoad({ filter: /graphiql[\\/]dist[\\/]style\.css$/ }, async ({ path }) => {
      const text = await readFile(path, "utf8");
      return { contents: text.replace(/@font-face\s*\{[^}]*\}/g, ""), loader: "css" };
    });
  },
};

async function licence(folder) {
  const { name, version, license, author } = JSON.parse(await readFile(join(folder, "package.json"), "utf8"));
  const file = (await readdir(folder)).find((each) => /^licen[cs]e/i.test(each));
  const by = typeof author === "object" ? author.name : author;
  const text = file ? await readFile(join(folder, file), "utf8") : `Licence: ${license}${by ? `, by ${by}` : ""}`;
  return `${name} ${version}\n\n${text.trim()}\n`;
}

const { metafile } = await build({
  entryPoints: ["page.jsx"],
  outfile: `${OUT}/graphiql.js`,
  bundle: true,
  minify: true,
  metafile: true,
  target: "es2022",
  jsx: "automatic",
  legalComments: "none",
  banner: { js: "/* Licences: licenses.txt beside this file */" },
  define: { "process.env.NODE_ENV": '"production"' },
  plugins: [withoutFonts],
});
const packages = new Set(
  Object.keys(metafile.inputs)
    .map((path) => path.match(/^.*node_modules\/(?:@[^/]+\/)?[^/]+/)?.[0])
    .filter(Boolean),
);
const texts = await Promise.all([...packages].sort().map(licence));
await writeFile(`${OUT}/licenses.txt`, texts.join(`\n${"-".repeat(80)}\n\n`));
