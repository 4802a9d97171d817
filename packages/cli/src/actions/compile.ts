/** `weft compile`: the kernels of a plan as images that a driver loads, and what each takes of the machine. */
import { basename, extname, join, resolve } from "node:path";
import { type CudaPlan, emitCuda, formatBytes } from "@weft/compiler";
import {
  type CompiledManifest,
  type CompiledParts,
  compileAhead,
  KernelCache,
  type KernelResources,
  nvccCompiler,
  readCompiled,
  requireFp4Target,
  type TargetImages,
  targetFacts,
  targetNames,
  writeCompiled,
} from "@weft/runtime-cuda";
import type { CompileOptions } from "../commands/compile.ts";
import { compileTarget } from "../target/compile-target.ts";
import { openTarget } from "../target/target.ts";
import { interruption, stopsInOrder } from "../terminal/interrupt.ts";
import { print, printJson, remark } from "../terminal/output.ts";
import { Progress } from "../terminal/progress.ts";
import { refuse } from "../terminal/refuse.ts";
import { formatTable } from "../terminal/table.ts";
import { checkWritableFolder, refuseUnwritable } from "../terminal/writable.ts";

/** A kernel on a target; `dynamicSharedBytes` is what its launch asks for on top of what the text declares. */
interface KernelRow extends KernelResources {
  readonly threads: number;
  readonly dynamicSharedBytes: number;
}

export async function compileModel(path: string, options: CompileOptions): Promise<void> {
  const targets = targetsOf(options.target);
  if (options.fp4 === "hardware") for (const target of targets) requireFp4Target(target);
  const directory = resolve(options.out ?? `${basename(resolve(path), extname(path))}.compiled`);
  checkWritableFolder(directory);
  using _ = stopsInOrder();
  // Whether there is a compiler is the quicker question.
  const compiler = await nvccCompiler({ signal: interruption });
  const { plan } = compileTarget(await openTarget(path, options.export), options, "cuda").compiled;
  const { fp4 } = options;
  const cudaPlan = emitCuda(plan, fp4 === undefined ? {} : { fp4 });
  const started = performance.now();
  const progress = new Progress();
  const cache = new KernelCache({ remark });
  const compiled = await compileAhead(cudaPlan, compiler, targets, {
    cache,
    onProgress: (done, total) => progress.update(`compiling with nvcc ${compiler.version}`, done, total),
  }).finally(() => progress.clear());
  refuseTooMuchShared(compiled, cudaPlan);
  const manifest = written(directory, { plan, cudaPlan, compiler, targets: compiled });
  // What was written is what will be read.
  await readCompiled(directory);
  const seconds = (performance.now() - started) / 1000;
  const tables = compiled.map((one) => ({ target: one.target, kernels: rowsOf(one, cudaPlan) }));
  if (options.json === true) {
    const { name, version } = compiler;
    const files = manifest.targets.flatMap(({ target, images }) => images.map((one) => ({ target, ...one })));
    await printJson({
      directory,
      plan: plan.hash,
      compiler: { name, version },
      seconds,
      files,
      targets: tables,
    });
    return;
  }
  for (const { target, kernels } of tables) await print(`${target}\n${formatKernels(kernels)}\n`);
  for (const { images } of manifest.targets) {
    for (const { file, bytes } of images) await print(`${join(directory, file)}: ${formatBytes(bytes)}`);
  }
  await print(
    `${cudaPlan.functions.length} kernels for ${targets.join(", ")} with nvcc ${compiler.version} in ${seconds.toFixed(1)} s`,
  );
}

/** @throws WeftError where the disk is full, or what was writable at first is so no more */
function written(directory: string, parts: CompiledParts): CompiledManifest {
  try {
    return writeCompiled(directory, parts);
  } catch (error) {
    return refuseUnwritable(directory, error);
  }
}

/** Each target once, in the order given. @throws WeftError for one that is not known */
function targetsOf(given: readonly string[]): readonly string[] {
  const targets = [...new Set(given.flatMap((name) => (name === "all" ? targetNames : [name])))];
  if (targets.length === 0) {
    refuse("--target", "must name an architecture", {
      given: "none",
      remedy: `choose of ${targetNames.join(", ")}`,
    });
  }
  for (const target of targets) targetFacts(target);
  return targets;
}

function refuseTooMuchShared(compiled: readonly TargetImages[], { functions }: CudaPlan): void {
  for (const { target, resources } of compiled) {
    const { sharedBytes: limit } = targetFacts(target);
    for (const { name, sharedBytes } of functions) {
      const needed = sharedBytes + (resources.find((one) => one.kernel === name)?.staticSharedBytes ?? 0);
      if (needed <= limit) continue;
      refuse("--target", `${target} has ${formatBytes(limit)} of shared memory for a block`, {
        given: `${formatBytes(needed)} for the kernel ${name}`,
        remedy: "leave this target out",
      });
    }
  }
}

function rowsOf({ resources }: TargetImages, { functions }: CudaPlan): KernelRow[] {
  return functions.flatMap(({ name, threads, sharedBytes }) => {
    const own = resources.find((one) => one.kernel === name);
    return own === undefined ? [] : [{ ...own, threads, dynamicSharedBytes: sharedBytes }];
  });
}

function formatKernels(kernels: readonly KernelRow[]): string {
  const right = (title: string) => ({ title, align: "right" as const });
  return formatTable(
    [
      { title: "kernel" },
      right("threads"),
      right("registers"),
      right("shared B"),
      right("stack B"),
      right("spill stores B"),
      right("spill loads B"),
    ],
    kernels.map((one) => [
      one.kernel,
      String(one.threads),
      String(one.registers),
      String(one.staticSharedBytes + one.dynamicSharedBytes),
      String(one.stackBytes),
      String(one.spillStores),
      String(one.spillLoads),
    ]),
  );
}
