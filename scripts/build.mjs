// Builds what is missing or stale: TypeScript (tsc -b, and a bundle for the viewer's page) and the native addons (cmake-js).
// Runs from `npm start` and `npm test`, so nothing depends on npm's install scripts.
//   node scripts/build.mjs [--quiet] [--native-only] [--sanitize]
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const root = resolve(dirname(fileURLToPath(import.meta.url)), "..");
const require = createRequire(import.meta.url);
const quiet = process.argv.includes("--quiet");
const sanitize = process.argv.includes("--sanitize");

/** Runs a command; on failure prints all it said and ends the build with its exit code. */
function run(title, command, args, options = {}) {
  const started = performance.now();
  const result = spawnSync(command, args, { cwd: root, encoding: "utf8", maxBuffer: 1 << 28, ...options });
  if (result.error || result.status !== 0) {
    console.error(`[build] ${title} failed: ${command} ${args.join(" ")}`);
    console.error(result.error?.message ?? `${result.stdout}\n${result.stderr}`);
    process.exit(result.status || 1);
  }
  if (!quiet) console.log(`[build] ${title}: ${((performance.now() - started) / 1000).toFixed(1)} s`);
}

function filesBelow(folder) {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    return entry.isDirectory() ? filesBelow(path) : [path];
  });
}

/** A digest over the native sources: the addon is rebuilt when it differs from the one stored beside it. */
function nativeDigest(folders, files) {
  const hash = createHash("sha256");
  for (const file of [...folders.flatMap(filesBelow), ...files].sort()) {
    hash.update(`${file.slice(root.length)}\0${statSync(file).size}\0`).update(readFileSync(file));
  }
  return hash.update(`${process.arch}-${process.platform}-${sanitize}`).digest("hex");
}

/** An addon: `packages/<name>/build/Release/<addon>.node`. */
function buildNative(name, file, note) {
  const package_ = join(root, "packages", name);
  const folder = sanitize ? "build-sanitize" : "build";
  const addon = join(package_, folder, "Release", file);
  const stamp = join(package_, folder, "sources.sha256");
  const digest = nativeDigest(
    [join(root, "packages/runtime/native"), join(package_, "native")],
    [join(package_, "CMakeLists.txt")],
  );
  if (existsSync(addon) && existsSync(stamp) && readFileSync(stamp, "utf8") === digest) return;
  const cmakeJs = join(dirname(require.resolve("cmake-js/package.json")), "bin/cmake-js");
  const args = [
    cmakeJs,
    "build",
    "--directory",
    package_,
    "--out",
    join(package_, folder),
    "--parallel",
    "2",
  ];
  if (sanitize) args.push("--CDWEFT_SANITIZE=ON");
  // Said even when quiet: nobody should wonder what takes so long.
  console.log(`[build] building ${name}, once: ${note}`);
  run(name, process.execPath, args);
  mkdirSync(dirname(stamp), { recursive: true });
  writeFileSync(stamp, digest);
}

if (!existsSync(join(root, "node_modules/typescript"))) {
  console.error("[build] node_modules is missing: run `npm ci` first.");
  process.exit(1);
}
if (!process.argv.includes("--native-only")) {
  const tsc = join(dirname(require.resolve("typescript/package.json")), "bin/tsc");
  run("TypeScript", process.execPath, [tsc, "-b"]);
  run("viewer", process.execPath, [join(root, "scripts/bundle-viewer.mjs")]);
}
buildNative("runtime-cpu", "weft_cpu.node", "about two minutes");
// NVIDIA's driver is opened at run time, in the way of Linux.
if (process.platform === "linux") buildNative("runtime-cuda", "weft_cuda.node", "about a minute");
