/** PyTorch and transformers where the machine has them, each in a process of its own that prints a line per figure. */
import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { shapes } from "../model/shapes.ts";
import { spreadOf } from "../support/statistics.ts";
import type { Limits, Row } from "./rows.ts";
import { operationsPerToken } from "./training.ts";
import { shapeNameOf, type Visit } from "./work.ts";

const folder = fileURLToPath(new URL("peers", import.meta.url));
const python = process.env.WEFT_PYTHON ?? "python3";

/** A line of a peer's output. */
interface Line {
  readonly kind: "decode" | "prefill" | "train" | "limits" | "versions" | "note";
  readonly size?: number;
  readonly tokensPerSecond?: readonly number[];
  readonly memoryBytes?: number;
  readonly note?: string;
  readonly copyBytesPerSecond?: number;
  readonly matmulOperationsPerSecond?: number;
  readonly versions?: Readonly<Record<string, string>>;
}

export interface PeerRun {
  readonly lines: readonly Line[];
  /** Why it did not come to its end. */
  readonly failure?: string;
}

/** Runs one of the scripts; whatever it had printed when its time was over counts. */
function runScript(script: string, args: readonly string[], seconds: number): Promise<PeerRun> {
  return new Promise((resolve) => {
    const child = spawn(python, [`${folder}/${script}`, ...args], {
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, PYTHONUNBUFFERED: "1", HF_HUB_OFFLINE: "1", TRANSFORMERS_OFFLINE: "1" },
    });
    let [output, errors] = ["", ""];
    let stopped = false;
    const timer = setTimeout(() => {
      stopped = true;
      child.kill("SIGKILL");
    }, Math.max(1, seconds) * 1000);
    child.stdout.on("data", (chunk) => {
      output += chunk;
    });
    child.stderr.on("data", (chunk) => {
      errors = (errors + chunk).slice(-20000);
    });
    child.on("error", (error) => {
      clearTimeout(timer);
      resolve({ lines: [], failure: `${python} does not start: ${error.message}` });
    });
    child.on("close", (status) => {
      clearTimeout(timer);
      const lines = output.split("\n").flatMap((line) => (line.startsWith("{") ? parsed(line) : []));
      const why = stopped ? "its time was over" : errors.trim().split("\n").at(-1) || `exit status ${status}`;
      resolve(status === 0 ? { lines } : { lines, failure: why });
    });
  });
}

/** The last line of a process that was stopped may be cut. */
function parsed(line: string): Line[] {
  try {
    return [JSON.parse(line) as Line];
  } catch {
    return [];
  }
}

/** What the device can do, by PyTorch: a copy of a large tensor, and a large product of random bf16 matrices. */
export async function measureLimits(seconds: number): Promise<{
  readonly limits: Limits;
  readonly versions: Readonly<Record<string, string>>;
  readonly failure?: string;
}> {
  const { lines, failure } = await runScript("limits.py", [], seconds);
  const found = lines.find(({ kind }) => kind === "limits");
  const versions = lines.find(({ kind }) => kind === "versions")?.versions ?? {};
  if (found === undefined) {
    return {
      limits: { source: "not measured: PyTorch does not run here" },
      versions,
      failure: failure ?? "",
    };
  }
  const { copyBytesPerSecond: copy, matmulOperationsPerSecond: matmul } = found;
  return {
    limits: {
      ...(copy === undefined ? {} : { copyBytesPerSecond: copy }),
      ...(matmul === undefined ? {} : { matmulOperationsPerSecond: matmul }),
      source: "measured in this run by PyTorch",
    },
    versions,
  };
}

export interface PeerOptions {
  readonly directory: string;
  readonly tokens: number;
  readonly seconds: number;
  readonly device: "cuda" | "cpu";
}

export async function measurePeer(
  visit: Visit,
  { directory, tokens, seconds, device }: PeerOptions,
): Promise<{ readonly rows: readonly Row[]; readonly failure?: string }> {
  const trains = visit.train.length > 0;
  const { lines, failure } = await runScript(
    trains ? "training_peer.py" : "transformers_peer.py",
    [
      ...["--model", directory, "--device", device],
      ...["--variant", visit.who.replace("transformers-", "")],
      ...(trains
        ? ["--train", visit.train.join(",")]
        : [
            ...["--contexts", visit.contexts.join(","), "--prefill", visit.prefill.join(",")],
            ...["--tokens", String(tokens)],
          ]),
    ],
    seconds,
  );
  const rows = lines.flatMap(({ kind, size, tokensPerSecond, memoryBytes, note }): Row[] =>
    (kind === "decode" || kind === "prefill" || kind === "train") &&
    size !== undefined &&
    tokensPerSecond !== undefined
      ? [
          {
            model: visit.model,
            who: visit.who,
            kind,
            size,
            samples: tokensPerSecond.length,
            tokensPerSecond: spreadOf(tokensPerSecond)!,
            ...(kind === "train"
              ? { operationsPerToken: operationsPerToken(shapes[shapeNameOf(visit.model)], size) }
              : {}),
            ...(memoryBytes === undefined ? {} : { memoryBytes }),
            ...(note === undefined ? {} : { note }),
          },
        ]
      : [],
  );
  const notes = lines.filter(({ kind }) => kind === "note").map(({ note }) => note);
  const why = [failure, ...notes].filter((one) => one !== undefined);
  return { rows, ...(why.length === 0 ? {} : { failure: why.join("; ") }) };
}
