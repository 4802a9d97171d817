/** What goes wrong on a device: a clear error, and the process and the device live on. */
import { loadQwen3 } from "@weft/qwen3";
import { type GpuName, openEdited } from "../../bench/support/gpu-device.ts";
import { atMost, type Checks, refusal } from "./checks.ts";
import { relativeDifference, type Subject } from "./model.ts";

export async function checkFaults(checks: Checks, subject: Subject, name: GpuName): Promise<void> {
  const { title, gpu, oracle, prepared } = subject;

  await checks.check(`${title}: a token out of range`, async () => {
    const first = async () => {
      using context = gpu.createContext();
      return [(await context.append(oracle.tokens.slice(0, 3))).slice()];
    };
    const before = await first();
    const vocab = gpu.config.vocabSize;
    const message = await refusal(
      () =>
        // Below the context, which refuses it before a device is asked.
        gpu.executable.run("decode", {
          symbols: { seq: 1, past: 3, dropped: 0 },
          inputs: { tokens: Int32Array.of(vocab) },
        }),
      new RegExp(`value ${vocab} at index 0`),
    );
    atMost(relativeDifference(await first(), before), 0, "the difference afterwards");
    return message.split("\n", 1)[0]!;
  });

  await checks.check(`${title}: a kernel that does not compile`, async () => {
    using device = await openEdited(name, (source) => `${source}\nint broken = not_declared;\n`);
    const message = await refusal(() => loadQwen3(prepared, device), /not_declared[\s\S]*:\d+/);
    return message.split("\n", 1)[0]!;
  });

  await checks.check(`${title}: works after the faults`, async () => {
    using context = gpu.createContext();
    const row = await context.append(oracle.tokens);
    const expected = oracle.logits.at(-1)!;
    const bound = subject.dtype === "f32" ? 1e-4 : 2e-2;
    return atMost(relativeDifference([row], [expected]), bound, "relative RMS to the oracle");
  });
}
