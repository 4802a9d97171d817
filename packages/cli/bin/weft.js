#!/usr/bin/env node
// The command's entry. It is not compiled, so that npm can link it before the first build.
import { existsSync } from "node:fs";
import module from "node:module";

const main = new URL("../dist/main.js", import.meta.url);
// Newer versions of Node keep compiled code between runs.
module.enableCompileCache?.();

if (existsSync(main)) {
  const { run } = await import(main.href);
  await run(process.argv.slice(2));
} else {
  console.error("[weft] must be built before it runs; run `npm run build` in the repository");
  process.exitCode = 1;
}
