// Bundles the viewer's page script: packages/viewer/client becomes packages/viewer/dist/client/viewer.js.
//   node scripts/bundle-viewer.mjs
// It takes a few hundredths of a second, so nothing is asked about what is stale.
import { readFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const root = resolve(dirname(fileURLToPath(import.meta.url)), "..");
const viewer = join(root, "packages/viewer");

/** What is bundled goes wherever a page goes, and its licence with it. */
const licences = ["@dagrejs/dagre", "@dagrejs/graphlib"].map(
  (name) => `/*! ${name}\n${readFileSync(join(root, "node_modules", name, "LICENSE"), "utf8").trim()}\n*/`,
);
await build({
  entryPoints: [join(viewer, "client/main.ts")],
  outfile: join(viewer, "dist/client/viewer.js"),
  bundle: true,
  minify: true,
  format: "esm",
  target: "es2022",
  charset: "utf8",
  legalComments: "none",
  footer: { js: licences.join("\n") },
  logLevel: "error",
});
