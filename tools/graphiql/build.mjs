// Bundles the page into the files that the server hands out.
import { readFile } from "node:fs/promises";
import { build } from "esbuild";

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

await build({
  entryPoints: ["page.jsx"],
  outfile: process.argv[2] ?? "../../config/static/config/graphiql/graphiql.js",
  bundle: true,
  minify: true,
  target: "es2022",
  jsx: "automatic",
  legalComments: "linked",
  define: { "process.env.NODE_ENV": '"production"' },
  plugins: [withoutFonts],
});
