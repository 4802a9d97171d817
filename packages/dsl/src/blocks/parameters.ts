/** The parameters of a block, collected from its structure and never by hand. */
import { type Either, left, right } from "fp-ts/lib/Either.js";
import { type Axis, formatAxis, sizeEquals } from "../axis.ts";
import { type Problem, type Problems, userProblem } from "../errors.ts";
import { asBlock, type BlockLike } from "./block.ts";
import type { AnyBlock, LeafExpression, ParameterSpec } from "./types.ts";
import { joinPath, leavesOf } from "./walk.ts";

/** A parameter under its absolute name, which is its name in a checkpoint. */
export interface Parameter {
  readonly name: string;
  readonly axes: readonly Axis[];
  readonly initial: ParameterSpec["initial"];
  /** The paths of the leaves that use it, in order. */
  readonly users: readonly string[];
}

/** `path.weight`, or the name alone where it is absolute. */
export function parameterName(path: string, spec: ParameterSpec): string {
  return spec.shared === true ? spec.name : joinPath(path, spec.name);
}

interface Found {
  readonly parameter: Parameter & { readonly users: string[] };
  readonly block: AnyBlock;
  /** The leaf under whose path the parameter lives; undefined while only shared uses were seen. */
  owner: LeafExpression | undefined;
}

/**
 * All parameters by their absolute names, in the order of first use; one that is shared stands once. The left side
 * lists every clash: two uses with different shapes, or two different blocks that own one name.
 * @example const names = pipe(parametersOf(model), map((all) => all.map((one) => one.name)));
 */
export function parametersOf(block: AnyBlock | BlockLike): Either<Problems, readonly Parameter[]> {
  const found = new Map<string, Found>();
  const problems: Problem[] = [];
  for (const { path, leaf, block: user } of leavesOf(asBlock(block, "parametersOf"))) {
    for (const spec of leaf.parameters) {
      const name = parameterName(path, spec);
      const before = found.get(name);
      const owner = spec.shared === true ? undefined : leaf;
      if (before === undefined) {
        const parameter = { name, axes: spec.axes, initial: spec.initial, users: [path] };
        found.set(name, { parameter, block: user, owner });
        continue;
      }
      const place = { path, ...(user.source === undefined ? {} : { location: user.source }) };
      if (!sameShape(before.parameter.axes, spec.axes)) {
        problems.push(
          userProblem("parametersOf", `${name} must have one shape wherever it is used`, {
            given: `${shape(before.parameter.axes)} in ${before.parameter.users[0]} and ${shape(spec.axes)}`,
            ...place,
          }),
        );
      } else if (owner !== undefined && before.owner !== undefined && owner !== before.owner) {
        problems.push(
          userProblem("parametersOf", `${name} must belong to one block`, {
            given: `two blocks${before.block.source === undefined ? "" : `, the first of ${before.block.source}`}`,
            ...place,
            remedy: "give them different paths, or use the same block twice to share its parameters",
          }),
        );
      }
      before.owner ??= owner;
      before.parameter.users.push(path);
    }
  }
  const [first, ...rest] = problems;
  return first === undefined
    ? right([...found.values()].map((one) => one.parameter))
    : left([first, ...rest]);
}

function sameShape(a: readonly Axis[], b: readonly Axis[]): boolean {
  return a.length === b.length && a.every((axis, index) => sizeEquals(axis.size, b[index]!.size));
}

function shape(axes: readonly Axis[]): string {
  return `[${axes.map(formatAxis).join(", ")}]`;
}
