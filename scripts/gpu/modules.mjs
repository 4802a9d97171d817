// What a bundle takes of the packages and of node_modules: what runs, on this platform, and nothing else.
import { spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, statSync } from "node:fs";
import { basename, dirname, join, relative } from "node:path";

/** Needed where TypeScript is loaded, which a bundle does not do: its esbuild alone has 11 MB. */
const leftOut = ["tsx"];
const notRun = /\.(d\.[cm]?ts|[cm]?ts|map|md|markdown|tsbuildinfo)$|^(LICENSE|CHANGELOG|README).*$/i;
/** Whole folders: fp-ts has its modules a second time as ES modules, which nobody imports. */
const foldersNotRun = ["es6", "test", "tests", "docs", ".github"];

const manifestOf = (folder) => JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));

/** The C library as the names of native modules have it. */
const platformOf = () => {
  const isGlibc = process.report.getReport().header.glibcVersionRuntime !== undefined;
  return `${process.platform}-${process.arch}${process.platform === "linux" ? (isGlibc ? "-gnu" : "-musl") : ""}`;
};

/** Native modules beside each other, one for each platform, are named after it: `tokenizers.linux-x64-gnu.node`. */
function isForeign(name) {
  return /\.(linux|darwin|win32|android|freebsd)-.*\.node$/.test(name) && !name.includes(`.${platformOf()}.`);
}

function copyRunning(from, to) {
  cpSync(from, to, {
    recursive: true,
    filter: (source) => {
      const name = basename(source);
      if (source === from) return true;
      if (statSync(source).isDirectory()) return ![...foldersNotRun, "node_modules"].includes(name);
      return !notRun.test(name) && !isForeign(name);
    },
  });
}

/** A native module without its symbols, where `strip` is there. */
function copyNative(from, to) {
  mkdirSync(dirname(to), { recursive: true });
  const { status } = spawnSync("strip", ["--strip-unneeded", "-o", to, from]);
  if (status !== 0) cpSync(from, to);
}

/** A package of this repository: what it exports, what its code reads, its addon. */
export function copyPackage(root, name, to) {
  const from = join(root, "packages", name);
  if (!existsSync(join(from, "dist/index.js")))
    throw new Error(`packages/${name} is not built: npm run build`);
  for (const part of ["dist", "bin", "cuda", "sim"]) {
    if (!existsSync(join(from, part))) continue;
    if (part === "cuda" || part === "sim") cpSync(join(from, part), join(to, part), { recursive: true });
    else copyRunning(join(from, part), join(to, part));
  }
  cpSync(join(from, "package.json"), join(to, "package.json"));
  const release = join(from, "build/Release");
  const addons = existsSync(release) ? readdirSync(release).filter((file) => file.endsWith(".node")) : [];
  for (const file of addons) copyNative(join(release, file), join(to, "build/Release", file));
  if (existsSync(join(from, "CMakeLists.txt")) && addons.length === 0) {
    throw new Error(`packages/${name} has no addon: npm run build`);
  }
}

/** Folders of all modules that these packages need, and that those need. */
export function modulesFor(root, names) {
  const found = new Map();
  const visit = (folder) => {
    for (const name of Object.keys(manifestOf(folder).dependencies ?? {})) {
      if (name.startsWith("@weft/") || leftOut.includes(name)) continue;
      const place = placeOf(folder, name, root);
      if (found.has(place)) continue;
      found.set(place, relative(root, place));
      visit(place);
    }
  };
  for (const name of names) visit(join(root, "packages", name));
  return found;
}

/** As Node looks for it: in the folders above. */
function placeOf(from, name, root) {
  for (let folder = from; ; folder = dirname(folder)) {
    const place = join(folder, "node_modules", name);
    if (existsSync(join(place, "package.json"))) return place;
    if (folder === root) throw new Error(`${name}, which ${from} needs, is not installed: npm ci`);
  }
}

export function copyModules(root, names, to) {
  for (const [place, path] of modulesFor(root, names)) copyRunning(place, join(to, path));
}
