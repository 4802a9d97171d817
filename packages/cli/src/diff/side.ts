/** One side of a comparison: a file that `weft dump` wrote, or a TARGET that is compiled. */
import { readFileSync, statSync } from "node:fs";
import { extname } from "node:path";
import { type Compiled, type Plan, planVersion } from "@weft/compiler";
import { type Graph, graphsFromJson, type Problems, parseGraph, WeftError } from "@weft/dsl";
import { loadPlan } from "@weft/runtime";
import type { Either } from "fp-ts/lib/Either.js";
import type { SideOptions } from "../commands/diff-side.ts";
import { compileTarget } from "../target/compile-target.ts";
import { moduleExtensions } from "../target/load-module.ts";
import { isConfiguration } from "../target/model-target.ts";
import { openTarget } from "../target/target.ts";
import { refuse } from "../terminal/refuse.ts";

/** A graph, or the text of one in which equal layers are printed once. */
export interface GraphDump {
  readonly name: string;
  readonly graph?: Graph;
  readonly text?: string;
}

export type Dump =
  | { readonly kind: "plan"; readonly plan: Plan }
  | { readonly kind: "graphs"; readonly graphs: readonly GraphDump[] };

export type Side = Dump | { readonly kind: "target"; readonly compiled: Compiled };

const remedy =
  "write it with weft dump TARGET --stage plan --format json, or --stage graph; or give the TARGET itself";

/** Whether a path is a file that was dumped, or by its name would be one; everything else is a TARGET. */
export function isDump(path: string): boolean {
  const found = statSync(path, { throwIfNoEntry: false });
  if (found === undefined) return /^\.(json|txt)$/.test(extname(path));
  return found.isFile() && !moduleExtensions.includes(extname(path)) && !isConfiguration(path);
}

export async function compileSide(path: string, options: SideOptions): Promise<Side> {
  const { device = "cpu", ...target } = options;
  const { compiled } = compileTarget(await openTarget(path, target.export), target, device);
  return { kind: "target", compiled };
}

export async function readDump(path: string): Promise<Dump> {
  const text = readText(path);
  const start = text.trimStart();
  if (start.startsWith("{") || start.startsWith("[")) return fromJson(path, text);
  if (start.startsWith("graph ")) return { kind: "graphs", graphs: graphsInText(path, start) };
  const given = /^plan \S+ for /.test(start)
    ? "the text of a plan"
    : `a text that begins with ${JSON.stringify(start.slice(0, 20))}`;
  return refuse(path, "must be a plan in JSON, or a graph as text or in JSON", { given, remedy });
}

function readText(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    return refuse(path, "must be readable", { given: (error as Error).message, remedy: "check the path" });
  }
}

async function fromJson(path: string, text: string): Promise<Dump> {
  let data: unknown;
  try {
    data = JSON.parse(text);
  } catch (error) {
    refuse(path, "must be JSON, and all of it", { given: (error as Error).message, remedy });
  }
  if (isPlan(data)) return { kind: "plan", plan: await loadPlan(path, { version: planVersion }) };
  const isGraph = (one: unknown) => typeof one === "object" && one !== null && "nodes" in one;
  if (Array.isArray(data) ? data.length > 0 && data.every(isGraph) : isGraph(data)) {
    const graphs = inFile(path, graphsFromJson(text));
    return { kind: "graphs", graphs: graphs.map((graph) => ({ name: graph.name, graph })) };
  }
  return refuse(path, "must hold a plan or a graph", { given: described(data), remedy });
}

function isPlan(data: unknown): data is Plan {
  const lists = ["symbols", "buffers", "kernels", "programs"];
  return (
    typeof data === "object" &&
    data !== null &&
    "memory" in data &&
    lists.every((name) => Array.isArray((data as Record<string, unknown>)[name]))
  );
}

function described(data: unknown): string {
  if (Array.isArray(data)) return data.length === 0 ? "an empty array" : "an array of something else";
  return `an object of ${
    Object.keys(data as object)
      .slice(0, 6)
      .join(", ") || "nothing"
  }`;
}

/** The graphs of several programs stand one behind the other. */
function graphsInText(path: string, text: string): GraphDump[] {
  return text.split(/^(?=graph )/m).map((one): GraphDump => {
    const isFolded = /^ {2}repeat .*\{$/m.test(one);
    if (isFolded) return { name: /^graph (\S+)/.exec(one)?.[1] ?? "", text: `${one.trimEnd()}\n` };
    const graph = inFile(path, parseGraph(one));
    return { name: graph.name, graph };
  });
}

/** Problems of what a file holds, with the file's name. */
function inFile<A>(path: string, found: Either<Problems, A>): A {
  if (found._tag === "Right") return found.right;
  const [first, ...rest] = found.left.map((problem) => ({ ...problem, source: path }));
  throw new WeftError([first!, ...rest]);
}
