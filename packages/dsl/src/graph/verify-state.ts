/** How state ops must agree with the states and symbols that the graph declares. List order is execution order. */
import { maxSize } from "../axis.ts";
import { type Problem, userProblem } from "../errors.ts";
import { nearestName } from "../nearest.ts";
import type { OpAttributes } from "../ops/names.ts";
import { findAxis, formatType, typeEquals } from "../ops/shape.ts";
import { show } from "./check.ts";
import type { GraphNode, StateSpec, SymbolSpec, TensorType } from "./types.ts";

/** The problems of one well-typed state op. */
export function checkStateUse(
  node: GraphNode,
  inputs: readonly TensorType[],
  states: ReadonlyMap<string, StateSpec>,
  symbols: ReadonlyMap<string, SymbolSpec>,
): readonly Problem[] {
  const { state } = node.attributes as { readonly state: string };
  const declared = states.get(state);
  if (declared === undefined) return [unknown(node, "state", state, [...states.keys()])];
  const given = node.op === "stateWrite" ? inputs[0]! : node.type;
  if (node.op !== "stateAppend") {
    return typeEquals(given, declared.type) ? [] : [mismatch(node, declared, given)];
  }
  const attributes = node.attributes as unknown as OpAttributes["stateAppend"];
  const problems: Problem[] = [];
  if (!symbols.has(attributes.past)) {
    problems.push(unknown(node, "symbol", attributes.past, [...symbols.keys()]));
  }
  // The valid part is the state but for the axis that grows, which may be cut to a symbol.
  const capacity = findAxis(declared.type, attributes.into)?.size;
  const valid = findAxis(given, attributes.into)?.size;
  const widened = {
    dtype: given.dtype,
    axes: given.axes.map((one) =>
      one.name === attributes.into && capacity !== undefined ? { ...one, size: capacity } : one,
    ),
  };
  if (!typeEquals(widened, declared.type)) problems.push(mismatch(node, declared, given));
  else if (maxSize(valid!) > maxSize(capacity!)) {
    problems.push(
      userProblem(node.op, `"${attributes.into}" must not grow beyond the state's ${maxSize(capacity!)}`, {
        given: String(maxSize(valid!)),
      }),
    );
  }
  return problems;
}

function mismatch(node: GraphNode, declared: StateSpec, given: TensorType): Problem {
  return userProblem(node.op, `the state ${show(declared.name)} has the type ${formatType(declared.type)}`, {
    given: formatType(given),
  });
}

function unknown(node: GraphNode, what: string, name: string, known: readonly string[]): Problem {
  const near = nearestName(name, known);
  return userProblem(node.op, `the ${what} must be declared`, {
    given: show(name),
    ...(near === undefined ? {} : { remedy: `did you mean ${show(near)}?` }),
  });
}
