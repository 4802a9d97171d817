/** A device that computes nothing: which runs it was given, and when each of them ends, is in the test's hands. */
import type { Plan } from "@weft/compiler";
import type { Device, Executable, RunOptions, RunResult } from "@weft/runtime";

/** The token that follows each token, always. */
export const following = (token: number): number => (token * 5 + 3) % 37;

export interface ScriptedRun {
  readonly program: string;
  readonly tokens: readonly number[];
  readonly past: number;
  /** Ends it as it would end by itself. */
  readonly end: () => void;
  readonly fail: (message: string) => void;
}

export interface ScriptedDevice extends Device {
  /** Runs that are under way, oldest first. */
  readonly runs: ScriptedRun[];
  /** Runs end by themselves. */
  isFree: boolean;
}

const none = () => Promise.resolve();

export function scriptedDevice(): ScriptedDevice {
  const runs: ScriptedRun[] = [];
  let drawn = 0;
  const run = (program: string, { symbols, inputs, outputs = {} }: RunOptions): Promise<RunResult> => {
    const tokens = [...inputs.tokens!];
    const last = tokens.at(-1) === -1 ? drawn : tokens.at(-1)!;
    const { candidates, drawn: token, logits } = outputs;
    drawn = following(last);
    const filled = drawn;
    return new Promise((resolve, reject) => {
      const finish = (settle: () => void) => () => {
        runs.splice(runs.indexOf(one), 1);
        settle();
      };
      const one: ScriptedRun = {
        program,
        tokens,
        past: symbols.past!,
        end: finish(() => {
          for (let at = 0; at < (candidates?.length ?? 0); at += 2)
            candidates!.set([-at, at === 0 ? filled : at / 2], at);
          token?.set([filled]);
          logits?.fill(0).set([1], filled);
          resolve({ outputs });
        }),
        fail: finish(() => reject(new Error(`failed: ${tokens}`))),
      };
      runs.push(one);
      if (device.isFree) one.end();
    });
  };
  const load = async (plan: Plan): Promise<Executable> => ({
    plan,
    runsAhead: 4,
    run,
    profile: () => Promise.reject(new Error("not here")),
    memory: () => {
      throw new Error("not here");
    },
    reset: none,
    shiftState: none,
    saveState: async () => new Uint8Array(plan.memory.state),
    restoreState: none,
    readState: () => Promise.reject(new Error("not here")),
    writeState: none,
    [Symbol.dispose]: () => {},
  });
  const device: ScriptedDevice = {
    name: "cuda-scripted",
    runs,
    isFree: false,
    load,
    predictMemory: () => {
      throw new Error("not here");
    },
    [Symbol.dispose]: () => {},
  };
  return device;
}
