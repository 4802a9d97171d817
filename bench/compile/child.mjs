/**
 * Compiles one model in this fresh process, after the imports, and sends the times. Plain JavaScript without a loader:
 * the built packages run, as they do for a user.
 *
 *     child.mjs run|record|stages   with the configuration as the first message
 *
 * `run` compiles what a run needs, `record` keeps every pass for dumps and `explain`, `stages` times the latter's parts.
 */
import { buildPlan, decompose, fuse, runPasses, simplify, verifyPlan } from "@weft/compiler";
import { orThrow, verifyGraph } from "@weft/dsl";
import { compileQwen3, qwen3Programs } from "@weft/qwen3";

const [what] = process.argv.slice(2);

process.once("message", (config) => {
  const options = { capacity: 4096, chunk: 512, policy: "bf16", storage: () => "bf16", logits: "last" };
  const answer = what === "stages" ? stages(config, options) : whole(config, options, what === "record");
  process.send(answer, () => process.disconnect());
});

function whole(config, options, record) {
  const processor = process.cpuUsage();
  const started = performance.now();
  const { plan } = orThrow(compileQwen3(config, { ...options, record }));
  const milliseconds = performance.now() - started;
  const { user, system } = process.cpuUsage(processor);
  const steps = Object.fromEntries(plan.programs.map(({ name, steps }) => [name, steps.length]));
  return { milliseconds, processorMilliseconds: (user + system) / 1000, steps, kernels: plan.kernels.length };
}

/** The same work stage by stage, in the compiler's order. */
function stages(config, options) {
  const times = {};
  const timed = (stage, work) => {
    const started = performance.now();
    const result = work();
    times[stage] = (times[stage] ?? 0) + performance.now() - started;
    return result;
  };
  const verified = (graph) => timed("verify", () => verifyGraph(graph));
  const programs = timed("expand", () => qwen3Programs(config, options));
  const compiled = programs.map(({ name, graph, passes }) => {
    orThrow(verified(graph));
    const rest = [simplify(), decompose((op) => op === "attend"), simplify()];
    const { graph: last, records } = orThrow(runPasses(graph, [...passes, ...rest], verified));
    for (const { pass, milliseconds } of records) times[pass] = (times[pass] ?? 0) + milliseconds;
    return { name, records, fused: timed("fuse", () => fuse(last, { enabled: true })) };
  });
  const { plan } = timed("plan", () => buildPlan("qwen3", "cpu", compiled));
  timed("verifyPlan", () => verifyPlan(plan));
  return { times };
}
