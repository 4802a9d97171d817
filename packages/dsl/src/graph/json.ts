/** A graph as JSON: plain, versioned, one node per line so that diffs can be read. */
import { type Either, isLeft, left, right } from "fp-ts/lib/Either.js";
import { type Problems, userProblem } from "../errors.ts";
import { isRecord, show } from "./check.ts";
import type { Graph } from "./types.ts";
import { verifyGraph } from "./verify.ts";

/** Raised when the form of the file changes. */
export const graphJsonVersion = 1;

/**
 * A graph as JSON text. Infinities, which JSON cannot spell, are written as 1e999, which every reader takes for one.
 * @example writeFileSync("graph.json", graphToJson(graph));
 */
export function graphToJson(graph: Graph): string {
  const list = (key: string, items: readonly unknown[]) =>
    `  "${key}": [${items.map((item) => `\n    ${spell(item)}`).join(",")}${items.length === 0 ? "" : "\n  "}]`;
  const members = [
    '  "format": "weft-graph"',
    `  "version": ${graphJsonVersion}`,
    `  "name": ${spell(graph.name)}`,
    list("symbols", graph.symbols),
    list("states", graph.states),
    list("nodes", graph.nodes),
    list("outputs", graph.outputs),
  ];
  return `{\n${members.join(",\n")}\n}\n`;
}

/**
 * A graph from JSON text, verified on the way in.
 * @returns on the left, where the text is no JSON or of another version, or everything that `verifyGraph` finds.
 * @example pipe(graphFromJson(readFileSync("graph.json", "utf8")), E.map(printGraph));
 */
export function graphFromJson(source: string): Either<Problems, Graph> {
  const data = parseJson(source);
  return isLeft(data) ? data : graphFromData(data.right);
}

/**
 * The graphs of several programs, which stand in one JSON array; or a single one.
 * @returns on the left, what `graphFromJson` says of the first that is none.
 */
export function graphsFromJson(source: string): Either<Problems, readonly Graph[]> {
  const data = parseJson(source);
  if (isLeft(data)) return data;
  const graphs: Graph[] = [];
  for (const one of Array.isArray(data.right) ? data.right : [data.right]) {
    const graph = graphFromData(one);
    if (isLeft(graph)) return graph;
    graphs.push(graph.right);
  }
  return right(graphs);
}

function parseJson(source: string): Either<Problems, unknown> {
  try {
    return right(JSON.parse(source));
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    return left([userProblem("graph json", "the text must be JSON", { given: message })]);
  }
}

function graphFromData(data: unknown): Either<Problems, Graph> {
  if (!isRecord(data))
    return left([userProblem("graph json", "the text must hold an object", { given: show(data) })]);
  const { format, version, ...graph } = data;
  if (format !== "weft-graph" || version !== graphJsonVersion) {
    return left([
      userProblem(
        "graph json",
        `the file must say "format": "weft-graph" and "version": ${graphJsonVersion}`,
        {
          given: `${show(format)} and ${show(version)}`,
          remedy: "write the graph again with this version of Weft",
        },
      ),
    ]);
  }
  return verifyGraph(graph);
}

/** JSON.stringify, but for the numbers that it loses. */
function spell(value: unknown): string {
  if (typeof value === "number") {
    if (Object.is(value, -0)) return "-0";
    if (Number.isFinite(value) || Number.isNaN(value)) return JSON.stringify(value);
    return value < 0 ? "-1e999" : "1e999";
  }
  if (Array.isArray(value)) return `[${value.map(spell).join(",")}]`;
  if (!isRecord(value)) return JSON.stringify(value) ?? "null";
  return `{${Object.entries(value)
    .filter(([, item]) => item !== undefined)
    .map(([key, item]) => `${JSON.stringify(key)}:${spell(item)}`)
    .join(",")}}`;
}
