/** What the types cost: instantiations are counted, not timed, so the test does not depend on the machine. */
import { readFileSync } from "node:fs";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { folderOf } from "./compile.ts";

const yardstick = readFileSync(new URL("../blocks/yardstick.ts", import.meta.url), "utf8");

/** The same imports and no block, so that the difference is the block's own. */
const imports = `${yardstick.slice(0, yardstick.indexOf("export const qwen3Block"))}
export const used = { attend, chain, linear, merge, mul, parallel, residual, rmsNorm, rope, silu };
`;

function instantiations(program: string): number {
  const folder = folderOf(new Map([["program", program]]));
  try {
    const { errors, instantiations } = folder.compile();
    assert.equal([...errors.values()].flat(), []);
    return instantiations;
  } finally {
    folder.remove();
  }
}

const test = suite("types: budget");

test("the Qwen3 block stays within its instantiations", () => {
  const block = instantiations(yardstick) - instantiations(imports);
  // Measured 3295 with TypeScript 7.0.2.
  assert.ok(block > 100, `measured nothing: ${block}`);
  assert.ok(block <= 3950, `${block} instantiations`);
});

test.run();
