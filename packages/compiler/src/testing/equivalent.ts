/** Two blocks that compute the same, on the interpreter and on a device. */
import {
  type AnyBlock,
  asBlock,
  type BlockLike,
  formatType,
  formatWire,
  type Graph,
  type TensorArray,
} from "@weft/dsl";
import {
  compareTensors,
  formatComparison,
  type GraphValues,
  type SeededValuesOptions,
  seededValues,
  TestFailure,
  type Tolerance,
} from "@weft/dsl/testing";
import { interpret } from "../interpreter/index.ts";
import { expandBlock } from "../passes/expand.ts";
import { type CompileBlockOptions, isGraph } from "./compile-block.ts";
import { type PlanDevice, runOnDevice } from "./run-plan.ts";

type Subject = AnyBlock | BlockLike | Graph;

export interface EquivalenceOptions
  extends Pick<CompileBlockOptions, "lead">,
    SeededValuesOptions,
    Tolerance {
  /** The first seed. Default: 0. */
  readonly seed?: number;
  /** How many seeds are tried, one after the other. Default: 3. */
  readonly runs?: number;
}

export interface DeviceEquivalenceOptions
  extends EquivalenceOptions,
    Pick<CompileBlockOptions, "fusion" | "passes"> {
  /** Compiles and runs both there as well, in f32. */
  readonly device: PlanDevice;
}

/**
 * Asserts that two blocks, or two graphs, give the same outputs on random input. Inputs and parameters are told apart by
 * their names: those of one name get the same values on both sides, and must have one type. Both are interpreted in
 * double precision; with a device both also run there, and are held against the first one's interpretation.
 * @param options tolerances, where none are given: the rows `passes` on the interpreter and `routes` on a device of docs/numerics.md
 * @throws TestFailure with the seed, the input, the first position that differs and how to repeat it.
 * @example assertEquivalent(chain(up, id, silu), chain(up, silu), { lead: [seq] });
 * @example await assertEquivalent(before, after, { lead: [seq], device });
 */
export function assertEquivalent(a: Subject, b: Subject, options: DeviceEquivalenceOptions): Promise<void>;
export function assertEquivalent(a: Subject, b: Subject, options?: EquivalenceOptions): void;
export function assertEquivalent(
  a: Subject,
  b: Subject,
  options: EquivalenceOptions | DeviceEquivalenceOptions = {},
): void | Promise<void> {
  const { seed = 0, runs = 3 } = options;
  // Nothing that was run is no proof.
  if (!(runs >= 1)) throw new TestFailure(`assertEquivalent: runs must be at least 1; given ${runs}`);
  const graphs = [graphOf(a, options), graphOf(b, options)] as const;
  checkPorts(a, b, graphs);
  const trials: Trial[] = [];
  for (let at = 0; at < runs; at++) {
    const trial = { seed: seed + at, values: sharedValues(graphs, seed + at, options) };
    const expected = interpret(graphs[0], restricted(trial.values, graphs[0]));
    const actual = interpret(graphs[1], restricted(trial.values, graphs[1]));
    compare(actual, expected, "the second", trial, options);
    trials.push({ ...trial, expected });
  }
  return "device" in options && options.device !== undefined
    ? compareOnDevice(graphs, trials, options)
    : undefined;
}

interface Trial {
  readonly seed: number;
  readonly values: GraphValues;
  readonly expected: ReadonlyMap<string, TensorArray>;
}

async function compareOnDevice(
  graphs: readonly [Graph, Graph],
  trials: readonly Trial[],
  options: DeviceEquivalenceOptions,
): Promise<void> {
  const { device, fusion = true, passes = [], absolute = 1e-4, relative = 1e-5 } = options;
  for (const trial of trials) {
    for (const [at, graph] of graphs.entries()) {
      const values = restricted(trial.values, graph);
      const actual = await runOnDevice(device, graph, values, { fusion, passes });
      const which = `the ${at === 0 ? "first" : "second"} on ${device.name}`;
      compare(actual, trial.expected, which, trial, { absolute, relative });
    }
  }
}

function graphOf(given: Subject, { lead = [] }: EquivalenceOptions): Graph {
  return isGraph(given) ? given : expandBlock(given, { name: "assertEquivalent", lead });
}

/** Equal wires of blocks, equal outputs, and one type for whatever has one name. */
function checkPorts(a: Subject, b: Subject, [left, right]: readonly [Graph, Graph]): void {
  const say = (what: string) => new TestFailure(`assertEquivalent: ${what}`);
  if (!isGraph(a) && !isGraph(b)) {
    const [first, second] = [a, b].map((one) => {
      const { input, output } = asBlock(one, "assertEquivalent");
      return [input, output].map((wire) => formatWire(wire, { sizes: true })).join(" -> ");
    });
    if (first !== second) throw say(`the first block is ${first}, the second ${second}`);
  }
  const types = new Map(ports(left));
  for (const [name, type] of ports(right)) {
    if ((types.get(name) ?? type) !== type)
      throw say(`${name} is ${types.get(name)} in the first and ${type} in the second`);
  }
  const [first, second] = [left, right].map(({ nodes, outputs }) =>
    outputs.map(({ name, node }) => `${name}: ${formatType(nodes[node]!.type)}`).join(", "),
  );
  if (first !== second) throw say(`the first gives ${first}, the second ${second}`);
}

const ports = ({ nodes }: Graph): [string, string][] =>
  nodes.flatMap(({ op, type, attributes }): [string, string][] =>
    op === "input" || op === "parameter" ? [[`${op} ${attributes.name}`, formatType(type)]] : [],
  );

/** Values for both graphs: equal where names are. */
function sharedValues(
  [a, b]: readonly [Graph, Graph],
  seed: number,
  options: SeededValuesOptions,
): GraphValues {
  const drawn = seededValues(a, seed, options);
  const more = seededValues(b, seed, { ...options, symbols: Object.fromEntries(drawn.symbols) });
  const weights = new Map([...more.weights, ...drawn.weights]);
  return {
    symbols: new Map([...more.symbols, ...drawn.symbols]),
    inputs: new Map([...more.inputs, ...drawn.inputs]),
    weights,
    parameters: (name) => weights.get(name),
  };
}

/** The symbols that a graph has. */
function restricted(values: GraphValues, { symbols }: Graph): GraphValues {
  const names = new Set(symbols.map(({ name }) => name));
  return { ...values, symbols: new Map([...values.symbols].filter(([name]) => names.has(name))) };
}

function compare(
  actual: ReadonlyMap<string, TensorArray>,
  expected: ReadonlyMap<string, TensorArray>,
  which: string,
  { seed, values }: Pick<Trial, "seed" | "values">,
  tolerance: Tolerance,
): void {
  for (const [name, wanted] of expected) {
    const found = compareTensors(actual.get(name)!, wanted, tolerance);
    if (found === undefined) continue;
    throw new TestFailure(
      [
        `assertEquivalent: ${which} gives another ${name} than the first interpreted`,
        `  ${name}${formatComparison(found, wanted)}`,
        `  seed ${seed}${[...values.symbols].map(([symbol, value]) => `, ${symbol}=${value}`).join("")}`,
        ...[...values.inputs].map(([input, tensor]) => `  ${input} = ${showTensor(tensor)}`),
        `  repeat it with assertEquivalent(..., { seed: ${seed}, runs: 1 })`,
      ].join("\n"),
    );
  }
}

/** `f32[seq=2, hidden=4] 0.5, -0.25, ...`. */
function showTensor({ dtype, axes, data }: TensorArray): string {
  const shown = [...data.subarray(0, 6)].map((value) => String(Number(value.toPrecision(6))));
  const sizes = axes.map(({ name, size }) => `${name}=${size}`).join(", ");
  return `${dtype}[${sizes}] ${shown.join(", ")}${data.length > 6 ? ", ..." : ""}`;
}
