/** Runs the command: inside this process where that shows the same, as a process where it does not. */
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { execute } from "@weft/cli";

export const root = fileURLToPath(new URL("../..", import.meta.url));
export const tiny = join(root, "test/fixtures/tiny");
export const tied = join(root, "test/fixtures/tiny-tied");

export interface Outcome {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** What the command prints and returns, without the cost of a process. */
export async function weft(...argv: readonly string[]): Promise<Outcome> {
  const written = { stdout: "", stderr: "" };
  const kept = { stdout: process.stdout.write, stderr: process.stderr.write };
  for (const name of ["stdout", "stderr"] as const) {
    process[name].write = ((chunk: string | Uint8Array, ...rest: unknown[]) => {
      written[name] += typeof chunk === "string" ? chunk : Buffer.from(chunk).toString();
      const done = rest.findLast((one) => typeof one === "function") as (() => void) | undefined;
      done?.();
      return true;
    }) as typeof process.stdout.write;
  }
  try {
    const code = await execute(argv);
    return { code, ...written };
  } finally {
    process.stdout.write = kept.stdout;
    process.stderr.write = kept.stderr;
  }
}

const loader = pathToFileURL(join(root, "node_modules/tsx/dist/loader.mjs")).href;
const source = pathToFileURL(join(root, "packages/cli/src/main.ts")).href;
const entry = `import(${JSON.stringify(source)}).then(({ run }) => run(process.argv.slice(1)))`;

export interface ProcessOptions {
  readonly input?: string;
  /** Leave the standard input open behind the input, as a terminal does. */
  readonly keepOpen?: boolean;
  readonly environment?: Readonly<Record<string, string>>;
  /** Called with what has come so far, to act on the running process. */
  readonly onOutput?: (text: string, kill: (signal: NodeJS.Signals) => void) => void;
  /** Called once the process is there, to act on it by what it writes elsewhere. */
  readonly onStart?: (kill: (signal: NodeJS.Signals) => void) => void;
}

/** The command as a process of its own, from the sources. */
export function weftProcess(argv: readonly string[], options: ProcessOptions = {}): Promise<Outcome> {
  return run(
    process.execPath,
    ["--conditions=source", "--import", loader, "-e", entry, "--", ...argv],
    options,
  );
}

export function run(
  command: string,
  argv: readonly string[],
  { input, keepOpen, environment, onOutput, onStart }: ProcessOptions = {},
): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, [...argv], { cwd: root, env: { ...process.env, ...environment } });
    let [stdout, stderr] = ["", ""];
    const kill = (signal: NodeJS.Signals) => child.kill(signal);
    onStart?.(kill);
    child.stdout.on("data", (chunk) => {
      stdout += chunk;
      onOutput?.(stdout, kill);
    });
    child.stderr.on("data", (chunk) => {
      stderr += chunk;
    });
    child.on("error", reject);
    child.on("close", (code) => resolve({ code, stdout, stderr }));
    child.stdin.on("error", () => {});
    child.stdin.write(input ?? "");
    if (keepOpen !== true) child.stdin.end();
  });
}

/** Gives a fresh folder and takes it away again. */
export async function withFolder<A>(work: (folder: string) => Promise<A>): Promise<A> {
  const folder = mkdtempSync(join(tmpdir(), "weft-cli-"));
  try {
    return await work(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
