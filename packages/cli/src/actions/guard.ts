/** `weft guard`: a command under a memory limit. */
import { type ChildProcess, spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { existsSync } from "node:fs";
import { constants } from "node:os";
import type { GuardOptions } from "../commands/guard.ts";
import { gpuMemory } from "../guard/gpu-memory.ts";
import { markName, ProcessTree, residentBytes } from "../guard/process-tree.ts";
import { type Limit, pause, watch } from "../guard/watch.ts";
import { ChildExit, exitCodes } from "../terminal/failure.ts";
import { interruption, stopsInOrder } from "../terminal/interrupt.ts";
import { remark } from "../terminal/output.ts";
import { refuse, refuseUnsupported } from "../terminal/refuse.ts";

/** @throws ChildExit with the exit code, unless it is 0 */
export async function guard(command: readonly string[], options: GuardOptions): Promise<void> {
  await checkReadable(options);
  using _ = stopsInOrder();
  const mark = randomUUID();
  const child = await start(command, mark);
  const tree = new ProcessTree(child.pid!, mark);
  const ended = new Promise<number>((resolve) => {
    child.once("exit", (code, signal) =>
      resolve(code ?? 128 + (signal === null ? 0 : constants.signals[signal])),
    );
  });
  // A second Ctrl-C ends this process at once; nothing may go on unwatched.
  const killAll = () => signalAll(tree, "SIGKILL");
  process.once("exit", killAll);
  const passOn = passSignalsOn(child);
  const finished = new AbortController();
  try {
    const watches = limitsOf(options, tree).map((limit) => watch(limit, finished.signal));
    const over = Promise.race(watches.map(async (one) => (await one) ?? new Promise<never>(() => {})));
    const outcome = await Promise.race([ended, over]);
    if (typeof outcome === "number") {
      if (outcome !== 0) throw new ChildExit(outcome);
      return;
    }
    remark(`[guard] ${outcome}; ending the command`);
    await endTree(tree, options.killSecs);
    throw new ChildExit(exitCodes.overLimit);
  } finally {
    finished.abort();
    passOn[Symbol.dispose]();
    process.off("exit", killAll);
  }
}

/** A limit that nobody can watch is worse than none: the command is not started. */
async function checkReadable({ gpuLimitGb, memoryLimitGb }: GuardOptions): Promise<void> {
  if (gpuLimitGb === undefined && memoryLimitGb === undefined) {
    refuse("guard", "must have a limit", {
      given: "none",
      remedy: "give --gpu-limit-gb, --memory-limit-gb or both",
    });
  }
  if (!existsSync("/proc/self/stat")) {
    refuseUnsupported("guard", "processes are found through /proc, as Linux has it", {
      given: process.platform,
      remedy: "run it on Linux",
    });
  }
  if (gpuLimitGb === undefined) return;
  const { problem } = await gpuMemory();
  if (problem === undefined) return;
  refuse("--gpu-limit-gb", "GPU memory must be readable", {
    given: problem,
    remedy: "install NVIDIA's driver, or limit resident memory with --memory-limit-gb",
  });
}

function limitsOf(options: GuardOptions, tree: ProcessTree): Limit[] {
  const { gpuLimitGb, memoryLimitGb } = options;
  const limits: Limit[] = [];
  if (gpuLimitGb !== undefined) {
    limits.push({
      label: "GPU memory",
      limitBytes: gpuLimitGb * 1e9,
      overSeconds: options.gpuOverSecs,
      pollSeconds: options.gpuPollSecs,
      read: async () => {
        const found = await gpuMemory();
        if (found.problem !== undefined) return found.problem;
        return tree.ids().reduce((sum, id) => sum + (found.bytes.get(id) ?? 0), 0);
      },
    });
  }
  if (memoryLimitGb !== undefined) {
    limits.push({
      label: "memory",
      limitBytes: memoryLimitGb * 1e9,
      overSeconds: options.memoryOverSecs,
      pollSeconds: options.memoryPollSecs,
      read: async () => residentBytes(tree.ids()),
    });
  }
  return limits;
}

/** 126 and 127 are the shells' own numbers for a command that cannot be run, and for none of that name. */
function start([command, ...argv]: readonly string[], mark: string): Promise<ChildProcess> {
  return new Promise((resolve, reject) => {
    const child = spawn(command!, argv, { stdio: "inherit", env: { ...process.env, [markName]: mark } });
    child.once("spawn", () => resolve(child));
    child.once("error", (error: NodeJS.ErrnoException) => {
      remark(`[guard] cannot run ${command}; ${error.code === "ENOENT" ? "no such command" : error.message}`);
      reject(new ChildExit(error.code === "ENOENT" ? 127 : 126));
    });
  });
}

/** A terminal gives Ctrl-C to the command as well; everybody else sends it to this process alone. */
function passSignalsOn(child: ChildProcess): Disposable {
  const send = (signal: NodeJS.Signals) => () => {
    if (signal !== "SIGINT" || process.stdin.isTTY !== true) child.kill(signal);
  };
  const handlers = (["SIGINT", "SIGTERM", "SIGHUP"] as const).map(
    (signal) => [signal, send(signal)] as const,
  );
  for (const [signal, handler] of handlers) process.on(signal, handler);
  return {
    [Symbol.dispose]: () => {
      for (const [signal, handler] of handlers) process.off(signal, handler);
    },
  };
}

async function endTree(tree: ProcessTree, killSeconds: number): Promise<void> {
  signalAll(tree, "SIGTERM");
  const deadline = performance.now() + killSeconds * 1000;
  while (performance.now() < deadline && !interruption.aborted) {
    if (tree.ids().length === 0) return;
    await pause(50);
  }
  // What is started while we look is found by the next look.
  for (let look = 0; look < 100 && tree.ids().length > 0; look++) {
    signalAll(tree, "SIGKILL");
    await pause(20);
  }
}

function signalAll(tree: ProcessTree, signal: NodeJS.Signals): void {
  for (const id of tree.ids()) {
    try {
      process.kill(id, signal);
    } catch {
      // It ended meanwhile.
    }
  }
}
