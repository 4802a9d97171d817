/** TARGET: a model directory, or a file that exports a block or a graph. */
import { readdirSync, statSync } from "node:fs";
import { basename, dirname, extname, join, resolve } from "node:path";
import {
  type AnyBlock,
  asBlock,
  type Graph,
  isBlock,
  nearestName,
  orThrow,
  type Problem,
  type Problems,
  verifyGraph,
} from "@weft/dsl";
import { mapLeft } from "fp-ts/lib/Either.js";
import { map } from "fp-ts/lib/ReadonlyNonEmptyArray.js";
import { refuse } from "../terminal/refuse.ts";
import { loadModule, moduleExtensions } from "./load-module.ts";
import { configTarget, directoryTarget, type ModelTarget } from "./model-target.ts";

export type Target = ModelTarget | BlockTarget | GraphTarget;

export interface BlockTarget {
  readonly kind: "block";
  readonly file: string;
  readonly name: string;
  readonly block: AnyBlock;
}

export interface GraphTarget {
  readonly kind: "graph";
  readonly file: string;
  readonly name: string;
  readonly graph: Graph;
}

const expected =
  "give a model directory, its config.json, or a .ts or .js file that exports a block or a graph";

/** Finds out what a TARGET is and loads it; weights stay where they are. */
export async function openTarget(path: string, exportName: string | undefined): Promise<Target> {
  const kind = kindOf(path);
  if (kind === "absent") {
    const near = neighbour(path);
    refuse("TARGET", "must exist", {
      given: JSON.stringify(path),
      remedy: near === undefined ? expected : `did you mean ${near}?`,
    });
  }
  if (kind === "directory") {
    if (exportName !== undefined) {
      refuse("--export", "names an export of a file", {
        given: `the model directory ${path}`,
        remedy: "leave --export out",
      });
    }
    return directoryTarget(path);
  }
  if (extname(path) === ".json") return configTarget(path);
  if (!moduleExtensions.includes(extname(path))) {
    refuse("TARGET", `must be a file with one of the endings ${moduleExtensions.join(", ")}`, {
      given: path,
      remedy: expected,
    });
  }
  return fromExports(path, await loadModule(resolve(path)), exportName);
}

function kindOf(path: string): "absent" | "file" | "directory" {
  const found = statSync(path, { throwIfNoEntry: false });
  return found === undefined ? "absent" : found.isDirectory() ? "directory" : "file";
}

/** A path beside the missing one that was probably meant. */
function neighbour(path: string): string | undefined {
  const folder = dirname(path);
  if (kindOf(folder) !== "directory") return undefined;
  const near = nearestName(basename(path), readdirSync(folder));
  return near === undefined ? undefined : join(folder, near);
}

type Usable = Omit<BlockTarget, "file" | "name"> | Omit<GraphTarget, "file" | "name">;

/** Chooses among a file's exports: the one that is asked for, the default, or the only usable one. */
function fromExports(
  file: string,
  exports: Readonly<Record<string, unknown>>,
  asked: string | undefined,
): Target {
  const names = Object.keys(exports);
  const usable = names.filter((name) => usableAs(exports[name]) !== undefined);
  const name = asked ?? (usable.includes("default") ? "default" : usable[0]);
  if (asked !== undefined && !names.includes(asked)) {
    const near = nearestName(asked, names);
    refuse("--export", `must name an export of ${file}`, {
      given: asked,
      remedy: near === undefined ? `it exports ${listed(exports)}` : `did you mean ${near}?`,
    });
  }
  const found = name === undefined ? undefined : usableAs(exports[name]);
  if (name === undefined || found === undefined) {
    refuse(file, "must export a block or a graph", {
      given: asked === undefined ? listed(exports) : `${asked}, ${describe(exports[asked])}`,
      remedy: remedyFor(asked === undefined ? names.map((one) => exports[one]) : [exports[asked]]),
    });
  }
  if (asked === undefined && name !== "default" && usable.length > 1) {
    refuse(file, "must have a default export, or export one block only", {
      given: usable.join(", "),
      remedy: `choose one with --export ${usable[0]}`,
    });
  }
  return found.kind === "graph"
    ? { ...found, file, name, graph: verified(found.graph, `${file}, export ${name}`) }
    : { ...found, file, name };
}

/** A graph that a hand has made. Its problems name nodes, which may have no place in any source. */
function verified(graph: Graph, location: string): Graph {
  const placed = mapLeft((problems: Problems) => map((one: Problem) => ({ location, ...one }))(problems));
  return orThrow(placed(verifyGraph(graph)));
}

function usableAs(value: unknown): Usable | undefined {
  if (isBlock(value)) return { kind: "block", block: asBlock(value, "TARGET") };
  if (isGraph(value)) return { kind: "graph", graph: value };
  return undefined;
}

/** Meant as a graph: whether it is one, `verifyGraph` says, and what is missing. */
function isGraph(value: unknown): value is Graph {
  return typeof value === "object" && value !== null && "nodes" in value && Array.isArray(value.nodes);
}

function isFactory(value: unknown): boolean {
  return typeof value === "function" && !isBlock(value);
}

function describe(value: unknown): string {
  if (value === null) return "null";
  if (isClass(value)) return "a class";
  if (isFactory(value)) return "a function";
  if (isPromise(value)) return "a promise";
  return Array.isArray(value) ? "an array" : `a value of type ${typeof value}`;
}

const isPromise = (value: unknown): boolean => value instanceof Promise;
const isClass = (value: unknown): boolean => typeof value === "function" && /^class\b/.test(String(value));

/** What would make an export usable that is nearly so. */
function remedyFor(values: readonly unknown[]): string {
  if (values.some(isPromise)) return "export what the promise gives: `export default await ...`";
  if (values.some((one) => isFactory(one) && !isClass(one)))
    return "call the function in the file and export what it gives";
  return "add `export default` before the block";
}

function listed(exports: Readonly<Record<string, unknown>>): string {
  const parts = Object.entries(exports).map(([name, value]) => `${name} (${describe(value)})`);
  return parts.length === 0 ? "no exports" : parts.join(", ");
}
