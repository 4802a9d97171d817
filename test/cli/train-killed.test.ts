/** `weft train` itself is killed, again and again; resumed, it ends with the same bits as a run that nobody disturbed. */
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseMetrics, uniformAt } from "@weft/qwen3";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { tiny, weft, weftProcess, withFolder } from "./command.ts";

const test = suite("weft train, killed");
const kills = 3;

/** Which steps a run has written so far; none while it has not begun. */
function stepsIn(out: string): number {
  const file = join(out, "metrics.jsonl");
  return existsSync(file) ? (parseMetrics(readFileSync(file, "utf8")).at(-1)?.step ?? 0) : 0;
}

test("killed at any moment and resumed, it ends with the same weights bit for bit", () =>
  withFolder(async (folder) => {
    const data = join(folder, "sums.tsv");
    const lines = Array.from({ length: 40 }, (_, n) => `${n % 10} plus ${n % 7} is\t${(n % 10) + (n % 7)}`);
    writeFileSync(data, lines.join("\n"));
    const argv = (out: string) =>
      `train ${tiny} --data ${data} --out ${out} --sequence 32 --steps 60 --save-every 3 --keep 2 --threads 1`.split(
        " ",
      );
    const [whole, parts] = [join(folder, "whole"), join(folder, "parts")];
    const { code, stderr } = await weft(...argv(whole));
    assert.is(code, 0, stderr);
    const seed = Date.now();
    let resumed = 0;
    for (let kill = 0; kill < kills; kill++) {
      // Anywhere behind the first checkpoint: in the middle of a step, of writing a line, of saving; one of them while it
      // is still opening.
      const steps = kill === 1 ? -1 : 4 + Math.floor(8 * uniformAt(seed, 2 * kill));
      const delay = (steps < 0 ? 1000 : 30) * uniformAt(seed, 2 * kill + 1);
      const from = stepsIn(parts);
      let timer: NodeJS.Timeout | undefined;
      const killed = await weftProcess([...argv(parts), "--resume"], {
        onStart: (send) => {
          timer = setInterval(() => {
            // Metrics behind the last checkpoint are written again, so that fewer steps may be there than before.
            if (steps >= 0 && stepsIn(parts) < Math.min(from + steps, 57)) return;
            clearInterval(timer);
            timer = setTimeout(() => send("SIGKILL"), delay);
          }, 3);
        },
      });
      clearInterval(timer);
      assert.is(killed.code, null, `seed ${seed}: it ended by itself: ${killed.stderr}`);
      if (/^goes on behind step/m.test(killed.stderr)) resumed++;
    }
    assert.ok(resumed > 0, `seed ${seed}: no run went on from a checkpoint`);
    const last = await weft(...argv(parts), "--resume");
    assert.is(last.code, 0, `seed ${seed}: ${last.stderr}`);
    assert.match(last.stderr, /^goes on behind step \d+/m);
    const weights = (out: string) => readFileSync(join(out, "model/model.safetensors"));
    assert.ok(weights(parts).equals(weights(whole)), `seed ${seed}`);
    const numbers = (out: string) =>
      parseMetrics(readFileSync(join(out, "metrics.jsonl"), "utf8")).map(({ step, loss, gradientNorm }) => [
        step,
        loss,
        gradientNorm,
      ]);
    assert.equal(numbers(parts), numbers(whole), `seed ${seed}`);
    // Nothing that was being written when it was killed has stayed.
    assert.equal(readdirSync(join(parts, "checkpoints")), readdirSync(join(whole, "checkpoints")));
  }));

test.run();
