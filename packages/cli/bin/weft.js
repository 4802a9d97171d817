#!/usr/bin/env node
// The command's entry. It is not compiled, so that npm can link it before the first build.
import { existsSync } from "node:fs";

const main = new URL("../dist/main.js", import.meta.url);
if (existsSync(main)) {
  const { run } = await import(main.href);
  await run(process.argv.slice(2));
} else {
  console.error("[weft] must be built before it runs; run `npm run build` in the repository");
  process.exitCode = 1;
}
