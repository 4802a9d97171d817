/** Buffers bound to the slots of a kernel while it is written. */
import type { Slot } from "../plan/types.ts";
import type { PlanAssembly } from "./storage.ts";

/** The slots and bindings of one kernel while it is written. */
export class Bindings {
  readonly slots: Slot[] = [];
  readonly buffers: number[] = [];
  readonly #assembly: PlanAssembly;

  constructor(assembly: PlanAssembly) {
    this.#assembly = assembly;
  }

  slot(buffer: number, access: "read" | "write"): number {
    let index = this.buffers.indexOf(buffer);
    if (index === -1) {
      index = this.buffers.length;
      this.buffers.push(buffer);
      const { dtype, shape } = this.#assembly.buffers[buffer]!;
      this.slots.push({ name: `b${index}`, dtype, access, rowLength: dtype === "nvfp4" ? shape.at(-1)! : 0 });
    } else if (this.slots[index]!.access !== access) this.slots[index]!.access = "update";
    return index;
  }
}
