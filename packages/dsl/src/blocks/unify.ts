/**
 * Suffix unification. A block rewrites trailing axes for every choice of leading ones, so wiring two blocks together
 * solves `lead1 ++ axes1 = lead2 ++ axes2`:
 *   the left shows more than the right needs: the rest is the right side's lead;
 *   the right needs more than the left shows: the need is put in front of everything on the left;
 *   otherwise the names (or the sizes) clash.
 * Leads are variables of a small unifier, so that `split` can have one per side and `id` can stand for any wire.
 */
import { type Axis, axisEquals } from "../axis.ts";
import type { TensorWire, WireSpec } from "./types.ts";
import { anyWire, tensorWire, tupleWire, wireEquals } from "./wire.ts";

/** Why two wires do not fit. */
export type Clash = "names" | "sizes";

interface Row {
  readonly lead: string;
  readonly axes: readonly Axis[];
}

export class Unifier {
  readonly #rows = new Map<string, Row>();
  readonly #wires = new Map<string, WireSpec>();

  /** Makes both wires equal, or says why they cannot be. Variables of different blocks must have different tags. */
  unify(a: WireSpec, b: WireSpec): Clash | undefined {
    const left = this.#resolve(a);
    const right = this.#resolve(b);
    if (right.tag === "any") return this.#bindWire(right.variable, left);
    if (left.tag === "any") return this.#bindWire(left.variable, right);
    if (left.tag === "tensor" && right.tag === "tensor") {
      return left.kind === right.kind ? this.#unifyRows(this.#row(left), this.#row(right)) : "names";
    }
    if (left.tag !== "tuple" || right.tag !== "tuple" || left.wires.length !== right.wires.length)
      return "names";
    let clash: Clash | undefined;
    for (let index = 0; index < left.wires.length && clash !== "names"; index++) {
      clash = this.unify(left.wires[index]!, right.wires[index]!) ?? clash;
    }
    return clash;
  }

  /** The wire with every variable replaced by what was found for it. */
  apply(wire: WireSpec): WireSpec {
    const found = this.#resolve(wire);
    switch (found.tag) {
      case "any":
        return found;
      case "tuple":
        return { tag: "tuple", wires: found.wires.map((one) => this.apply(one)) };
      case "tensor":
        return { tag: "tensor", kind: found.kind, ...this.#row(found) };
      default:
        return found satisfies never;
    }
  }

  #resolve(wire: WireSpec): WireSpec {
    let found = wire;
    while (found.tag === "any") {
      const bound = this.#wires.get(found.variable);
      if (bound === undefined) return found;
      found = bound;
    }
    return found;
  }

  #bindWire(variable: string, to: WireSpec): Clash | undefined {
    if (to.tag === "any" && to.variable === variable) return undefined;
    if (mentions(to, variable)) return "names";
    this.#wires.set(variable, to);
    return undefined;
  }

  #row(wire: TensorWire): Row {
    let row: Row = { lead: wire.lead ?? "", axes: wire.axes };
    for (let bound = this.#rows.get(row.lead); bound !== undefined; bound = this.#rows.get(row.lead)) {
      row = { lead: bound.lead, axes: [...bound.axes, ...row.axes] };
    }
    return row;
  }

  #unifyRows(left: Row, right: Row): Clash | undefined {
    const shared = Math.min(left.axes.length, right.axes.length);
    const leftRest = left.axes.slice(0, left.axes.length - shared);
    const rightRest = right.axes.slice(0, right.axes.length - shared);
    let sizes = false;
    for (let index = 1; index <= shared; index++) {
      const a = left.axes.at(-index)!;
      const b = right.axes.at(-index)!;
      if (a.name !== b.name) return "names";
      sizes ||= !axisEquals(a, b);
    }
    if (left.lead === right.lead) {
      if (leftRest.length + rightRest.length > 0) return "names";
    } else if (rightRest.length === 0) {
      this.#rows.set(right.lead, { lead: left.lead, axes: leftRest });
    } else {
      this.#rows.set(left.lead, { lead: right.lead, axes: rightRest });
    }
    return sizes ? "sizes" : undefined;
  }
}

function mentions(wire: WireSpec, variable: string): boolean {
  return wire.tag === "any"
    ? wire.variable === variable
    : wire.tag === "tuple" && wire.wires.some((one) => mentions(one, variable));
}

/** The wire with its variables marked as belonging to one side, so that two blocks never share one by accident. */
export function tagged(wire: WireSpec, side: string): WireSpec {
  return renamed(wire, (lead) => side + lead);
}

/** The wire with its variables (leads and whole wires) renamed. */
function renamed(wire: WireSpec, lead: (name: string) => string, variable = lead): WireSpec {
  switch (wire.tag) {
    case "any":
      return { tag: "any", variable: variable(wire.variable) };
    case "tuple":
      return { tag: "tuple", wires: wire.wires.map((one) => renamed(one, lead, variable)) };
    case "tensor":
      return { tag: "tensor", kind: wire.kind, axes: wire.axes, lead: lead(wire.lead ?? "") };
    default:
      return wire satisfies never;
  }
}

/** Whether a wire has no variable but the block's only lead. */
function isPlain(wire: WireSpec): boolean {
  return wire.tag === "tuple" ? wire.wires.every(isPlain) : wire.tag === "tensor" && wire.lead === undefined;
}

/**
 * Renames the variables of a block's wires by first appearance, so that equal blocks have equal wires. A block with
 * one lead leaves it unnamed.
 */
export function canonical(input: WireSpec, output: WireSpec): readonly [WireSpec, WireSpec] {
  if (isPlain(input) && isPlain(output)) return [input, output];
  const leads: string[] = [];
  const wires: string[] = [];
  const collect = (wire: WireSpec): void => {
    if (wire.tag === "tuple") wire.wires.forEach(collect);
    else if (wire.tag === "any") wires.includes(wire.variable) || wires.push(wire.variable);
    else leads.includes(wire.lead ?? "") || leads.push(wire.lead ?? "");
  };
  collect(input);
  collect(output);
  const rename = (wire: WireSpec): WireSpec => {
    switch (wire.tag) {
      case "tuple":
        return tupleWire(wire.wires.map(rename));
      case "any":
        return anyWire(wires.length === 1 ? "" : String(wires.indexOf(wire.variable)));
      case "tensor": {
        const lead = leads.length === 1 ? undefined : String(leads.indexOf(wire.lead ?? ""));
        return tensorWire(wire.axes, wire.kind, lead);
      }
      default:
        return wire satisfies never;
    }
  };
  return [rename(input), rename(output)];
}

/** Both contexts after two wires were made equal. */
export interface Meeting {
  readonly left: readonly WireSpec[];
  readonly right: readonly WireSpec[];
}

/**
 * Makes `left` and `right` one wire and carries what was found over to the wires that share variables with them: the
 * left block's input and the right block's output, say. The twin of the type `Meet`.
 */
export function meet(
  left: WireSpec,
  leftContext: readonly WireSpec[],
  right: WireSpec,
  rightContext: readonly WireSpec[],
): Meeting | Clash {
  if (isPlain(left) && wireEquals(left, right)) return { left: leftContext, right: rightContext };
  const unifier = new Unifier();
  const clash = unifier.unify(tagged(left, "l"), tagged(right, "r"));
  if (clash !== undefined) return clash;
  const solved = [
    ...leftContext.map((wire) => unifier.apply(tagged(wire, "l"))),
    ...rightContext.map((wire) => unifier.apply(tagged(wire, "r"))),
  ];
  const [all] = canonical(tupleWire(solved), tupleWire([]));
  const wires = all.tag === "tuple" ? all.wires : [];
  return { left: wires.slice(0, leftContext.length), right: wires.slice(leftContext.length) };
}
