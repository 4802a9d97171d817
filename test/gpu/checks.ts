/** Checks one after the other, each with a figure; a failure does not keep the others from running. */
import { table } from "../../bench/support/table.ts";

export interface Outcome {
  readonly name: string;
  readonly result: "passed" | "FAILED" | "skipped";
  /** What was measured, or why not. */
  readonly figure: string;
  readonly seconds: number;
}

/** Thrown by a check that cannot be made here. */
export class Skipped extends Error {}

export class Checks {
  readonly outcomes: Outcome[] = [];
  readonly #only: RegExp | undefined;
  readonly #say: (line: string) => void;

  constructor(only?: RegExp, say: (line: string) => void = console.error) {
    this.#only = only;
    this.#say = say;
  }

  wants(name: string): boolean {
    return this.#only?.test(name) ?? true;
  }

  /** @param work gives the figure, or throws */
  async check(name: string, work: () => Promise<string>): Promise<void> {
    if (!this.wants(name)) return;
    const started = performance.now();
    const done = (result: Outcome["result"], figure: string) => {
      const seconds = (performance.now() - started) / 1000;
      this.outcomes.push({ name, result, figure, seconds });
      // On the way, so that a run that is cut off has said what it knows.
      this.#say(`[gpu] ${result}: ${name}: ${figure} (${seconds.toFixed(1)} s)`);
    };
    try {
      done("passed", await work());
    } catch (error) {
      if (error instanceof Skipped) done("skipped", error.message);
      else done("FAILED", error instanceof Error ? error.message : String(error));
    }
  }

  /** One line for each check, and the counts. */
  report(): string {
    const count = (result: Outcome["result"]) => this.outcomes.filter((one) => one.result === result).length;
    // Figures are sentences: behind the columns, not in one.
    const columns = table([
      ["check", "result", "s"],
      ...this.outcomes.map(({ name, result, seconds }) => [name, result, seconds.toFixed(1)]),
    ]).split("\n");
    const lines = columns.map((line, index) => {
      const figure = this.outcomes[index - 2]?.figure.split("\n", 1)[0] ?? "";
      return `${line}  ${figure.length > 80 ? `${figure.slice(0, 77)}...` : figure}`.trimEnd();
    });
    return (
      `${lines.join("\n")}\n\n` +
      `${count("passed")} passed, ${count("FAILED")} failed, ${count("skipped")} skipped`
    );
  }

  /** A run that checked nothing has proved nothing. */
  get isGood(): boolean {
    return (
      this.outcomes.some(({ result }) => result === "passed") &&
      this.outcomes.every(({ result }) => result !== "FAILED")
    );
  }
}

/** @throws Error with the figure where it is above the bound, or no number */
export function atMost(figure: number, bound: number, what: string): string {
  if (!(figure <= bound)) throw new Error(`${what} is ${figure.toExponential(2)}, more than ${bound}`);
  return `${what} ${figure.toExponential(2)} (at most ${bound})`;
}

export function equal(actual: readonly number[], expected: readonly number[], what: string): string {
  const at = expected.findIndex((value, index) => value !== actual[index]);
  if (at >= 0 || actual.length !== expected.length) {
    throw new Error(`${what} differ at ${at}: ${actual.join(",")} instead of ${expected.join(",")}`);
  }
  return `${expected.length} ${what} equal`;
}

/** The message of the error that a call must reject with. */
export async function refusal(call: () => Promise<unknown>, pattern: RegExp): Promise<string> {
  const message = await call().then(
    () => undefined,
    (error: Error) => error.message,
  );
  if (message === undefined) throw new Error(`must be refused with ${pattern}`);
  if (!pattern.test(message)) throw new Error(`must be refused with ${pattern}; given ${message}`);
  return message;
}
