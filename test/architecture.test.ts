/**
 * The shape of the house: imports point downward, only to what a package declares; files of a package do not import
 * each other in circles; a file past 500 lines needs a reason.
 */
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { builtinModules } from "node:module";
import { dirname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { suite } from "uvu";
import * as assert from "uvu/assert";

const test = suite("architecture");
const root = resolve(dirname(fileURLToPath(import.meta.url)), "..");

/** From the bottom up; a package may import those before it. */
const layers = ["dsl", "compiler", "viewer", "runtime", "runtime-cpu", "runtime-cuda", "qwen3", "cli"];

/** Files past the limit, each with the reason why it stays whole. */
const longFiles: Readonly<Record<string, string>> = {};
const longest = 500;

const folders = ["node_modules", "dist", "build", "fixtures", "golden"];

function filesBelow(folder: string, suffix: RegExp): string[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder).flatMap((name) => {
    const path = join(folder, name);
    if (statSync(path).isDirectory()) return folders.includes(name) ? [] : filesBelow(path, suffix);
    return suffix.test(name) ? [path] : [];
  });
}

interface Import {
  readonly target: string;
  /** Erased before the program runs. */
  readonly typeOnly: boolean;
}

/** The modules that a source names in imports and re-exports; comments are taken out first. */
function importsOf(source: string): Import[] {
  const code = source.replace(/\/\*[\s\S]*?\*\//g, "").replace(/^\s*\/\/.*$/gm, "");
  const found: Import[] = [];
  for (const match of code.matchAll(/^\s*(import|export)\s+([^;"'`]*?\bfrom\s+)?["']([^"']+)["']/gm)) {
    const [, keyword, clause, target] = match;
    if (keyword === "export" && clause === undefined) continue;
    const names = /\{([\s\S]*)\}/.exec(clause ?? "")?.[1];
    const allTypes =
      names !== undefined &&
      !/^[\w$]+\s*,/.test(clause!) &&
      names
        .split(",")
        .map((name) => name.trim())
        .filter((name) => name !== "")
        .every((name) => name.startsWith("type "));
    found.push({ target: target!, typeOnly: /^type\b/.test(clause ?? "") || allTypes });
  }
  for (const match of code.matchAll(/\bimport\(\s*["']([^"']+)["']\s*\)/g)) {
    found.push({ target: match[1]!, typeOnly: false });
  }
  return found;
}

function packageOf(target: string): string {
  return target.startsWith("@") ? target.split("/").slice(0, 2).join("/") : target.split("/")[0]!;
}

interface Manifest {
  readonly name: string;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
  readonly peerDependencies?: Readonly<Record<string, string>>;
}

function manifestOf(layer: string): Manifest {
  return JSON.parse(readFileSync(join(root, "packages", layer, "package.json"), "utf8")) as Manifest;
}

const sources = layers.map((layer) => {
  const folder = join(root, "packages", layer, "src");
  const files = new Map(
    filesBelow(folder, /\.tsx?$/).map((file) => [file, importsOf(readFileSync(file, "utf8"))]),
  );
  return { layer, folder, files };
});

test("the scanner sees imports of every kind", () => {
  const source = `
    import a from "one";
    import { b, type C } from "two";
    import type { D } from "three";
    import { type E, type F } from "four";
    import "five";
    export * from "six";
    export { type G } from "seven";
    // import h from "eight";
    /* import i from "nine"; */
    const j = await import("ten");
    export const k = "eleven";
    import {
      l,
    } from "twelve";`;
  assert.equal(
    importsOf(source).map(({ target, typeOnly }) => (typeOnly ? `${target} (type)` : target)),
    ["one", "two", "three (type)", "four (type)", "five", "six", "seven (type)", "twelve", "ten"],
  );
});

test("every package is a layer", () => {
  const present = readdirSync(join(root, "packages")).filter((name) =>
    existsSync(join(root, "packages", name, "package.json")),
  );
  assert.equal(present.toSorted(), layers.toSorted());
});

test("imports of packages point downward", () => {
  const faults: string[] = [];
  for (const { layer, files } of sources) {
    const allowed = layers.slice(0, layers.indexOf(layer)).map((one) => `@weft/${one}`);
    for (const [file, imports] of files) {
      for (const { target } of imports) {
        if (target.startsWith("@weft/") && !allowed.includes(packageOf(target))) {
          faults.push(`${relative(root, file)} imports ${target}`);
        }
      }
    }
  }
  assert.equal(faults, []);
});

test("dependencies that are declared point downward too", () => {
  const faults: string[] = [];
  for (const layer of layers) {
    const allowed = layers.slice(0, layers.indexOf(layer)).map((one) => `@weft/${one}`);
    for (const name of Object.keys(manifestOf(layer).dependencies ?? {})) {
      if (name.startsWith("@weft/") && !allowed.includes(name)) faults.push(`${layer} depends on ${name}`);
    }
  }
  assert.equal(faults, []);
});

test("relative imports stay in their package, name a file, and end in .ts", () => {
  const faults: string[] = [];
  for (const { folder, files } of sources) {
    for (const [file, imports] of files) {
      for (const { target } of imports.filter((one) => one.target.startsWith("."))) {
        const path = resolve(dirname(file), target);
        // What is built rather than written stands beside src.
        const outside = relative(folder, path).startsWith("..");
        if (outside || !existsSync(path)) faults.push(`${relative(root, file)} imports ${target}`);
      }
    }
  }
  assert.equal(faults, []);
});

test("packages import only what they declare", () => {
  const faults: string[] = [];
  for (const { layer, files } of sources) {
    const { name, dependencies, optionalDependencies, peerDependencies } = manifestOf(layer);
    const declared = Object.keys({ ...dependencies, ...optionalDependencies, ...peerDependencies });
    for (const [file, imports] of files) {
      for (const { target } of imports) {
        if (target.startsWith(".") || target.startsWith("node:")) continue;
        const wanted = packageOf(target);
        if (builtinModules.includes(wanted))
          faults.push(`${relative(root, file)} imports ${target} without "node:"`);
        else if (!declared.includes(wanted))
          faults.push(`${relative(root, file)} imports ${target}, which ${name} does not declare`);
      }
    }
  }
  assert.equal(faults, []);
});

test("no import cycles inside a package, type-only imports aside", () => {
  const faults: string[] = [];
  for (const { files } of sources) {
    const done = new Set<string>();
    const visit = (file: string, path: readonly string[]): void => {
      const at = path.indexOf(file);
      if (at >= 0) {
        faults.push([...path.slice(at), file].map((one) => relative(root, one)).join(" -> "));
        return;
      }
      if (done.has(file)) return;
      for (const { target, typeOnly } of files.get(file) ?? []) {
        if (!typeOnly && target.startsWith(".")) visit(resolve(dirname(file), target), [...path, file]);
      }
      done.add(file);
    };
    for (const file of files.keys()) visit(file, []);
  }
  assert.equal(faults, []);
});

test("the viewer's page has nothing of the compiler but the format of what it shows", () => {
  const client = join(root, "packages/viewer/client");
  const files = filesBelow(client, /\.ts$/);
  assert.ok(files.length > 0);
  const faults = files.flatMap((file) =>
    importsOf(readFileSync(file, "utf8"))
      .map(({ target }) => target)
      .filter((target) => {
        if (!target.startsWith(".")) return target !== "@dagrejs/dagre";
        const path = relative(client, resolve(dirname(file), target));
        return path.startsWith("..") && !/^..\/src\/format\/\w+\.ts$/.test(path);
      })
      .map((target) => `${relative(root, file)} imports ${target}`),
  );
  assert.equal(faults, []);
});

test("a file past 500 lines has a reason", () => {
  const written = ["packages", "test", "scripts", "examples", "bench"].flatMap((folder) =>
    filesBelow(join(root, folder), /\.(ts|mts|mjs|cc|h|cuh)$/),
  );
  const long = written
    .filter((file) => !/(^|_)generated\./.test(file.split("/").at(-1)!))
    .map((file) => [relative(root, file), readFileSync(file, "utf8").split("\n").length - 1] as const)
    .filter(([, lines]) => lines > longest);
  assert.equal(
    long.filter(([file]) => longFiles[file] === undefined).map(([file, lines]) => `${file}: ${lines} lines`),
    [],
  );
  // A reason that is no longer needed goes.
  const present = long.map(([file]) => file);
  assert.equal(
    Object.keys(longFiles).filter((file) => !present.includes(file)),
    [],
  );
});

test.run();
