/** A table of 3 rows, looked up by twice the input: indices that only the device sees. */
import type { Plan } from "@weft/compiler";
import { access, Body, loop, PlanBuilder, slot } from "./plan-builder.ts";

export function lookUpComputed(): {
  plan: Plan;
  refused: readonly (readonly [value: number, shown: string])[];
} {
  const builder = new PlanBuilder();
  const x = builder.buffer("x", "input", "f32", [4]);
  const table = builder.buffer("table", "weights", "f32", [3, 2]);
  const y = builder.buffer("y", "output", "f32", [4, 2]);
  const body = new Body();
  const index = body.binary("mul", body.load(access(0, [1], 0), 1), body.constant(2));
  body.store(access(2, [2]), body.gather(access(1, [0]), index, 2, 3, 2), 2);
  const kernel = builder.kernel({
    kind: "rows",
    name: "look_up",
    slots: [slot("x", "f32", "read"), slot("table", "f32", "read"), slot("y", "f32", "write")],
    program: body.program([loop("row", 4)], loop("column", 2)),
  });
  builder.program("main", [builder.step(kernel, x, table, y)]);
  const refused = [
    [2, "4"],
    [-1, "-2"],
    [Number.NaN, "-?nan"],
    [1e30, "2000"],
  ] as const;
  return { plan: builder.plan, refused };
}
