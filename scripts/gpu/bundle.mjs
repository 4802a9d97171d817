// Packs the built checkout into .gpu-bundle/: Node, the packages with their addons, what they need of node_modules, the
// checks (test/gpu) and the benchmark (bench/gpu) as plain JavaScript, and a script that starts them.
//   scripts/gpu-bundle [--out FOLDER]
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  chmodSync,
  copyFileSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { gzipSync } from "node:zlib";
import { copyModules, copyPackage } from "./modules.mjs";

const root = resolve(dirname(fileURLToPath(import.meta.url)), "../..");
const require = createRequire(import.meta.url);
const { values } = parseArgs({ options: { out: { type: "string", default: join(root, ".gpu-bundle") } } });
const bundle = resolve(values.out);
const mostBytes = 60e6;
const packages = ["dsl", "compiler", "runtime", "runtime-cpu", "runtime-cuda", "qwen3", "cli"];
const programs = ["test/gpu/run.ts", "bench/gpu/run.ts"];
const data = ["test/fixtures/tiny", "test/fixtures/tiny-tied", "bench/gpu/peers"];

if (process.platform !== "linux") {
  console.error("[gpu-bundle] GPU hosts are Linux; bundle on Linux, for the same processor");
  process.exit(1);
}

/** The running Node, without symbols where `strip` is there. gzip is on every Linux, and quick. */
function packNode() {
  const folder = mkdtempSync(join(tmpdir(), "weft-gpu-bundle-"));
  try {
    const stripped = join(folder, "node");
    copyFileSync(process.execPath, stripped);
    chmodSync(stripped, 0o755);
    spawnSync("strip", ["-s", stripped]);
    // A Node that another tool has changed might not survive it.
    const works = spawnSync(stripped, ["-p", "process.version"], { encoding: "utf8" });
    const chosen = works.stdout?.trim() === process.version ? stripped : process.execPath;
    const packed = gzipSync(readFileSync(chosen), { level: 6 });
    writeFileSync(join(bundle, "node.gz"), packed);
    writeFileSync(join(bundle, "node.id"), createHash("sha256").update(packed).digest("hex").slice(0, 16));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** With the esbuild that tsx brings. What is imported by name stays outside: packages find their files by their place. */
async function packPrograms() {
  const esbuild = createRequire(require.resolve("tsx/package.json"))("esbuild");
  await esbuild.build({
    absWorkingDir: root,
    entryPoints: programs,
    outbase: ".",
    outdir: bundle,
    outExtension: { ".js": ".mjs" },
    bundle: true,
    packages: "external",
    format: "esm",
    platform: "node",
    target: "node20",
    logLevel: "warning",
  });
}

function commit() {
  const git = (...command) => spawnSync("git", command, { cwd: root, encoding: "utf8" }).stdout?.trim();
  const changed = git("status", "--porcelain", "--", "packages", "bench", "test/gpu");
  return `${git("rev-parse", "--short", "HEAD") || "unknown"}${changed ? "+" : ""}`;
}

function bytesBelow(path) {
  const found = statSync(path);
  if (!found.isDirectory()) return found.size;
  return readdirSync(path).reduce((sum, name) => sum + bytesBelow(join(path, name)), 0);
}

/** Bytes by part, the largest first. */
function sizes() {
  const parts = readdirSync(bundle).flatMap((name) => {
    if (name !== "node_modules") return [join(bundle, name)];
    return readdirSync(join(bundle, name)).flatMap((module) =>
      module === "@weft"
        ? readdirSync(join(bundle, name, module)).map((one) => join(bundle, name, module, one))
        : [join(bundle, name, module)],
    );
  });
  return parts.map((path) => [relative(bundle, path), bytesBelow(path)]).sort((a, b) => b[1] - a[1]);
}

rmSync(bundle, { recursive: true, force: true });
mkdirSync(bundle, { recursive: true });
try {
  packNode();
  for (const name of packages) copyPackage(root, name, join(bundle, "node_modules/@weft", name));
  copyModules(root, packages, bundle);
  await packPrograms();
} catch (error) {
  console.error(`[gpu-bundle] ${error.message}`);
  process.exit(1);
}
for (const path of data) {
  cpSync(join(root, path), join(bundle, path), {
    recursive: true,
    filter: (source) => !source.includes("__pycache__"),
  });
}
copyFileSync(join(root, "scripts/gpu/run"), join(bundle, "run"));
chmodSync(join(bundle, "run"), 0o755);
writeFileSync(join(bundle, "commit"), `${commit()}\n`);

const parts = sizes();
const total = parts.reduce((sum, [, bytes]) => sum + bytes, 0);
const megabytes = (bytes) => (bytes / 1e6).toFixed(2).padStart(8);
for (const [name, bytes] of parts.filter(([, bytes]) => bytes >= 1e5))
  console.log(`${megabytes(bytes)} MB  ${name}`);
console.log(`${megabytes(total)} MB  in all, of ${mostBytes / 1e6} MB at most: ${bundle}`);
if (total > mostBytes) {
  console.error("[gpu-bundle] too large");
  process.exit(1);
}
