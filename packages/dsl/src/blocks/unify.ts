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
import { anyWire, tensorWire, tupleWire } from "./wire.ts";

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
        return tupleWire(found.wires.map((one) => this.apply(one)));
      case "tensor": {
        const row = this.#row(found);
        return tensorWire(row.axes, found.kind, row.lead);
      }
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
  switch (wire.tag) {
    case "any":
      return anyWire(side + wire.variable);
    case "tuple":
      return tupleWire(wire.wires.map((one) => tagged(one, side)));
    case "tensor":
      return tensorWire(wire.axes, wire.kind, side + (wire.lead ?? ""));
    default:
      return wire satisfies never;
  }
}

/**
 * Renames the variables of a block's wires by first appearance, so that equal blocks have equal wires. A block with
 * one lead leaves it unnamed.
 */
export function canonical(input: WireSpec, output: WireSpec): readonly [WireSpec, WireSpec] {
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
      case "tensor":
        return tensorWire(
          wire.axes,
          wire.kind,
          leads.length === 1 ? undefined : String(leads.indexOf(wire.lead ?? "")),
        );
      default:
        return wire satisfies never;
    }
  };
  return [rename(input), rename(output)];
}
