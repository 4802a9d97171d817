// The memory plan: no two values alive at once share bytes, and a plan in which they do is refused.
import {
  arenaPeak,
  bytesCovered,
  type Compiled,
  compile,
  coverageOf,
  lifetimesOf,
  type Plan,
  verifyPlan,
} from "@weft/compiler";
import { formatProblem, orThrow } from "@weft/dsl";
import { compileQwen3, compileTraining } from "@weft/qwen3";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import fc from "../../support/fast-check.ts";
import { threeLayers } from "../../support/qwen3-config.ts";
import { randomGraph } from "../../support/random-graph.ts";

const test = suite("memory plan");

const compileGraph = (graph: Parameters<typeof compile>[0][number]["graph"]): Compiled =>
  orThrow(compile([{ name: "main", graph, passes: [] }], { name: "random" }));

/** Found anew, byte by byte: who holds each byte of the arena at each step. */
function sharedBytes(compiled: Compiled): string[] {
  const clashes: string[] = [];
  compiled.plan.programs.forEach((program, at) => {
    const { inPlace } = compiled.programs[at]!;
    const lives = [...lifetimesOf(compiled.plan, program).values()];
    for (let step = 0; step < program.steps.length; step++) {
      const alive = lives.filter((life) => life.first <= step && step <= life.last);
      const holder = new Map<number, number>();
      for (const { buffer } of alive) {
        const { offset, bytes, name } = compiled.plan.buffers[buffer]!;
        for (let byte = offset; byte < offset + bytes; byte += 4) {
          const other = holder.get(byte);
          const agreed = inPlace.some(
            (one) =>
              one.step === step &&
              [one.from, one.to].includes(buffer) &&
              [one.from, one.to].includes(other ?? -1),
          );
          if (other !== undefined && !agreed)
            clashes.push(`step ${step}: ${name} over ${compiled.plan.buffers[other]!.name}`);
          holder.set(byte, buffer);
        }
      }
    }
  });
  return clashes;
}

test("random graphs: live values never share bytes, and the arena holds them all", () => {
  fc.assert(
    fc.property(randomGraph(), (graph) => {
      const compiled = compileGraph(graph);
      assert.equal(sharedBytes(compiled), []);
      for (const program of compiled.programs) {
        assert.ok(program.lowerBound <= program.bytes);
        assert.ok(program.bytes <= compiled.plan.memory.activations);
      }
    }),
    { numRuns: 80 },
  );
});

test("no kernel writes over a weight that it reads, though it is a value of the step that ends there", () => {
  const compiled = orThrow(
    compileTraining(threeLayers, {
      sequence: 16,
      programs: ["train"],
      policy: "bf16",
      storage: () => "f32",
      trainable: () => true,
      lossChunk: 0,
    }),
  );
  const { kernels, programs, buffers } = compiled.plan;
  let rounded = 0;
  programs[0]!.steps.forEach(({ kernel, bindings }, step) => {
    const own = kernels[kernel]!;
    if (own.kind !== "matmul") return;
    const weights = own.groups.flatMap((group) => group.weights.map((slot) => bindings[slot]!));
    rounded += weights.filter((buffer) => buffers[buffer]!.class === "activations").length;
    const over = compiled.programs[0]!.inPlace.filter((one) => one.step === step);
    assert.ok(
      over.every(({ from }) => !weights.includes(from)),
      `step ${step} writes over a weight`,
    );
  });
  assert.is(rounded, 3 * 7 + 1);
});

const qwen3 = (): Compiled =>
  orThrow(
    compileQwen3(threeLayers, {
      capacity: 64,
      chunk: 32,
      policy: "f32",
      storage: () => "f32",
      logits: "last",
    }),
  );

test("random graphs, and a training step: how full the arena is at each step is the union of what is alive", () => {
  const holds = (plan: Plan) => {
    for (const program of plan.programs) {
      const lives = [...lifetimesOf(plan, program).values()];
      const alive = program.steps.map((_, step) =>
        lives.filter(({ first, last }) => first <= step && step <= last).map(({ buffer }) => buffer),
      );
      assert.equal(
        coverageOf(plan, program),
        alive.map((buffers) => bytesCovered(plan, buffers)),
      );
    }
  };
  fc.assert(fc.property(randomGraph(), (graph) => holds(compileGraph(graph).plan)));
  const storage = () => "f32" as const;
  const training = {
    sequence: 32,
    programs: ["train"],
    policy: "f32",
    storage,
    trainable: () => true,
  } as const;
  holds(orThrow(compileTraining(threeLayers, training)).plan);
});

test("random graphs: at the fullest step of the largest program as many bytes are taken as its values need", () => {
  fc.assert(
    fc.property(randomGraph(), (graph) => {
      const { plan, programs } = compileGraph(graph);
      const peak = arenaPeak(plan);
      if (peak === undefined) return assert.is(plan.memory.activations, 0);
      assert.is(peak.bytes, bytesCovered(plan, peak.buffers));
      // Both know which values are alive; one by their places, the other by their sizes rounded up to whole lines.
      assert.ok(peak.bytes <= programs[0]!.lowerBound);
      assert.ok(peak.bytes > programs[0]!.lowerBound - 256 * peak.buffers.length);
      const lives = lifetimesOf(plan, plan.programs[0]!);
      for (const buffer of peak.buffers) {
        const { first, last } = lives.get(buffer)!;
        assert.ok(first <= peak.step && peak.step <= last);
      }
    }),
    { numRuns: 40 },
  );
});

test("Qwen3: live values never share bytes", () => {
  assert.equal(sharedBytes(qwen3()), []);
});

/** A copy of the plan, changed; what verifyPlan says of it. */
function complaints(change: (plan: Plan) => void): string[] {
  const plan = structuredClone(qwen3().plan);
  change(plan);
  return verifyPlan(plan).map((problem) => problem.requirement);
}

test("verifyPlan has nothing to say about a good plan", () => {
  assert.equal(
    complaints(() => undefined),
    [],
  );
});

test("verifyPlan refuses two live values in the same bytes", () => {
  const found = complaints((plan) => {
    const lives = [...lifetimesOf(plan, plan.programs[0]!).values()];
    const [a, b] = lives.filter((life) => life.first <= 4 && life.last >= 4);
    plan.buffers[b!.buffer]!.offset = plan.buffers[a!.buffer]!.offset;
  });
  assert.ok(found.includes("two values that are alive at once must not share bytes"), found.join());
});

test("verifyPlan refuses a buffer in two slots of a step, and names both", () => {
  const plan = structuredClone(qwen3().plan);
  // The kernel that adds to the residual stream reads two activations.
  const step = plan.programs[0]!.steps.find(
    ({ bindings }) => bindings.filter((one) => plan.buffers[one]!.class === "activations").length > 2,
  )!;
  const [first, second] = step.bindings.flatMap((buffer, at) =>
    plan.buffers[buffer]!.class === "activations" ? [at] : [],
  );
  step.bindings[second!] = step.bindings[first!]!;
  const slots = plan.kernels[step.kernel]!.slots;
  const said = verifyPlan(plan).map(formatProblem).join("\n");
  assert.match(said, "a step must bind a buffer to one slot only");
  assert.match(said, `is bound to the slots ${slots[first!]!.name} and ${slots[second!]!.name}`);
});

test("verifyPlan refuses what lies outside its arena, is read before it is written, or has another dtype", () => {
  const first = (plan: Plan, kind: string) => plan.buffers.find((one) => one.class === kind)!;
  assert.ok(
    complaints((plan) => {
      first(plan, "activations").offset = plan.memory.activations;
    }).includes("a buffer must lie inside its arena"),
  );
  assert.ok(
    complaints((plan) => {
      plan.programs[0]!.steps.reverse();
    }).includes("a value must be computed before it is read"),
  );
  assert.ok(
    complaints((plan) => {
      first(plan, "activations").dtype = "bf16";
    }).includes("a buffer must have its slot's dtype"),
  );
  assert.ok(
    complaints((plan) => {
      plan.programs[0]!.steps[0]!.bindings.pop();
    }).includes("every slot needs a buffer"),
  );
});

test.run();
