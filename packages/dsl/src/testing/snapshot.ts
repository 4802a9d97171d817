/** Texts that are kept in files beside the tests, and compared with what is printed now. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { differenceOfTexts, formatChanges } from "../graph/text/difference.ts";
import { printGraph } from "../graph/text/print.ts";
import type { Graph } from "../graph/types.ts";
import { TestFailure } from "./failure.ts";

export interface SnapshotOptions {
  /** Write the file anew instead of comparing. Default: whether the environment has `WEFT_UPDATE_GOLDEN=1`. */
  readonly update?: boolean;
}

const remedy = "WEFT_UPDATE_GOLDEN=1 writes it anew";

/**
 * Asserts that a text is the one that was kept in `file`. A file that is missing is a failure: nothing is written unasked.
 * @param file a path, or a URL such as `new URL("mlp.txt", import.meta.url)`
 * @throws TestFailure with the lines that differ.
 * @example assertSnapshot(prettyBlock(model), new URL("snapshots/model.txt", import.meta.url));
 */
export function assertSnapshot(actual: string, file: string | URL, options: SnapshotOptions = {}): void {
  compare("assertSnapshot", actual, file, options);
}

/**
 * Asserts that a graph is the one that was kept in `file`: every node with its type, attributes and block path. Equal
 * layers stand once; source lines are left out, because they move with every edit.
 * @param file a path, or a URL such as `new URL("mlp.graph", import.meta.url)`
 * @throws TestFailure with the nodes that differ, under the path of their block.
 * @example assertGraph(expandBlock(mlp, { name: "mlp", lead: [seq] }), new URL("mlp.graph", import.meta.url));
 */
export function assertGraph(graph: Graph, file: string | URL, options: SnapshotOptions = {}): void {
  compare("assertGraph", snapshotOf(graph), file, options);
}

/** What `assertGraph` keeps of a graph. */
export function snapshotOf(graph: Graph): string {
  const nodes = graph.nodes.map((node) => {
    const { source: _, ...origin } = node.origin;
    return { ...node, origin };
  });
  return printGraph({ ...graph, nodes }, { fold: true });
}

function compare(source: string, actual: string, file: string | URL, options: SnapshotOptions): void {
  const path = file instanceof URL ? fileURLToPath(file) : file;
  if (options.update ?? process.env.WEFT_UPDATE_GOLDEN === "1") {
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, actual);
    return;
  }
  if (!existsSync(path)) throw new TestFailure(`${source}: there is no snapshot at ${path} yet; ${remedy}`);
  const kept = readFileSync(path, "utf8").replaceAll("\r\n", "\n");
  if (kept === actual) return;
  const changes = differenceOfTexts(kept, actual);
  const what = changes.length === 0 ? "  only the numbers of nodes differ" : formatChanges(changes);
  throw new TestFailure(`${source}: this is not what ${path} says (- was, + is now); ${remedy}\n${what}`);
}
