/** The device's prelude and the simulator's twin of it declare the same functions. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { preludeFolder } from "@weft/compiler";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { simulatorFolder } from "../../../packages/runtime-cuda/src/compile/host-compiler.ts";

const test = suite("twins of device.cuh");

/** `void store<typename T>(Global<T>, i64, T)`; the place that the simulator adds is left out. */
function signatures(source: string): string[] {
  const code = source.replace(/\/\/.*$/gm, "").replace(/\s+/g, " ");
  const pattern = /(?:template <([^>]*)> )?DEVICE ([\w<>]+) (\w+)\(((?:[^()]|\([^()]*\))*)\) \{/g;
  return [...code.matchAll(pattern)]
    .filter(([, , , name]) => !name!.startsWith("weft_sim_") && name !== "place_of")
    .map(([, template, result, name, parameters]) => {
      const types = parameters!
        .split(/, (?![^<]*>)/)
        .filter((one) => one !== "" && !one.startsWith("Here "))
        .map((one) => one.replace(/\[\[maybe_unused\]\] /, "").replace(/\s*\w+(\)?(?:\[\d+\])?)$/, "$1"));
      return `${result} ${name}${template === undefined ? "" : `<${template}>`}(${types.join(", ")})`;
    })
    .sort();
}

function macros(source: string): string[] {
  return [...source.matchAll(/^#define (WEFT_\w+\([^)]*\))/gm)].map(([, head]) => head!);
}

test("the same functions and macros", () => {
  const device = readFileSync(join(preludeFolder, "device.cuh"), "utf8");
  // Functions that CUDA has without any header.
  const twin = readdirSync(simulatorFolder)
    .filter((name) => name.endsWith(".cuh") && name !== "math.cuh")
    .map((name) => readFileSync(join(simulatorFolder, name), "utf8"))
    .join("\n");
  assert.ok(signatures(device).length > 30);
  assert.equal(signatures(twin), signatures(device));
  assert.equal(macros(twin), macros(device));
});

test.run();
