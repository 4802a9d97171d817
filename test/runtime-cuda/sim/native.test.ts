/** The simulated driver's own tests: every primitive, planted mistakes, correct programs under 50 seeds. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { preludeFolder } from "@weft/compiler";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import {
  compileForHost,
  findHostCompiler,
  simulatorFolder,
} from "../../../packages/runtime-cuda/src/compile/host-compiler.ts";

const test = suite("simulated driver");
const native = resolve(simulatorFolder, "../native/driver/simulated");
const build = resolve(simulatorFolder, "../build/simulated");

function run(command: string, ...args: string[]): string {
  const { status, stdout, stderr, error } = spawnSync(command, args, {
    encoding: "utf8",
    maxBuffer: 1 << 26,
    timeout: 600_000,
  });
  assert.is(status, 0, `${command} ${args.join(" ")}: ${error?.message ?? ""}\n${stdout}\n${stderr}`);
  return stdout;
}

if (spawnSync("cmake", ["--version"]).status !== 0) {
  console.log("SKIPPED the native tests of the simulated driver: there is no cmake");
  test.skip("native tests");
} else {
  test("native tests", async () => {
    // The first time it takes about a minute; later only what changed is built.
    run("cmake", "-S", native, "-B", build, "-DWEFT_NATIVE_TESTS=ON");
    run("cmake", "--build", build, "--target", "simulated_test");
    const compiler = await findHostCompiler();
    const modules = mkdtempSync(join(tmpdir(), "weft-sim-modules-"));
    try {
      const kernels = join(native, "test/kernels");
      for (const file of readdirSync(kernels)) {
        const source = readFileSync(join(kernels, file), "utf8");
        const image = await compileForHost({ file, source, includeFolders: [preludeFolder] }, compiler);
        writeFileSync(join(modules, file.replace(/\.cu$/, ".so")), image);
      }
      assert.match(run(join(build, "simulated_test"), modules), /^\d+ checks passed, 0 failed$/m);
    } finally {
      rmSync(modules, { recursive: true, force: true });
    }
  });
}

test.run();
