/** A view as one HTML file that needs nothing else: it opens from disk, and asks no network for anything. */
import { existsSync, readFileSync } from "node:fs";
import { deflateRawSync } from "node:zlib";
import { userProblem, WeftError } from "@weft/dsl";
import { packedType, type View } from "../format/types.ts";

const styles = new URL("../../client/viewer.css", import.meta.url);
const script = new URL("../../dist/client/viewer.js", import.meta.url);

/** Nothing may be loaded, whatever a name of a model says. */
const policy = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'";

/** @throws WeftError where the page's script has not been built. */
export function pageOf(view: View): string {
  if (!existsSync(script)) {
    throw new WeftError([
      userProblem("inspect", "the viewer's script must be built", { remedy: "run npm run build" }),
    ]);
  }
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<title>${escapeMarkup(view.name)} - weft inspect</title>
<style>
${readFileSync(styles, "utf8")}</style>
</head>
<body>
<div id="page"><noscript>This page is drawn by a script, which is part of it.</noscript></div>
${viewInMarkup(view)}
<script type="module">
${readFileSync(script, "utf8")}</script>
</body>
</html>
`;
}

/** Characters of JSON above which a view is packed: a training step of a large model would be megabytes. */
const largestPlain = 1 << 20;

/** A view that is not large can be read by whoever looks into the page; the script reads both. */
function viewInMarkup(view: View): string {
  const json = jsonInMarkup(view);
  if (json.length <= largestPlain) return `<script type="application/json" id="view">${json}</script>`;
  return `<script type="${packedType}" id="view">${deflateRawSync(json).toString("base64")}</script>`;
}

const entities: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

export function escapeMarkup(text: string): string {
  return text.replace(/[&<>"']/g, (one) => entities[one]!);
}

/** JSON that no HTML parser can see the end of the script in: the same value, other characters. */
export function jsonInMarkup(value: unknown): string {
  return JSON.stringify(value)
    .replaceAll("<", "\\u003c")
    .replaceAll("\u2028", "\\u2028")
    .replaceAll("\u2029", "\\u2029");
}
