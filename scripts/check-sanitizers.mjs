// The native code under the address and undefined behaviour sanitizers: the addons by test/runtime-cpu and
// test/runtime-cuda (fuzzing included), the kernels by their own tests. Any report ends the process that made it.
//   node scripts/check-sanitizers.mjs
//
// Leaks are not looked for: Node.js itself leaves memory to the end of the process, and so do V8's handles of the
// addon. In this build the executor also counts allocations: a run that makes any fails.
import { spawn, spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const root = resolve(dirname(fileURLToPath(import.meta.url)), "..");
const require = createRequire(import.meta.url);

function run(command, args, env = {}) {
  console.log(`[sanitizers] ${command} ${args.join(" ")}`);
  const result = spawnSync(command, args, { cwd: root, stdio: "inherit", env: { ...process.env, ...env } });
  if (result.status !== 0) {
    console.error(
      `[sanitizers] failed: ${result.error?.message ?? `exit code ${result.status ?? result.signal}`}`,
    );
    process.exit(result.status || 1);
  }
}

const options = {
  ASAN_OPTIONS: "detect_leaks=0:abort_on_error=0:exitcode=99",
  UBSAN_OPTIONS: "print_stacktrace=1:halt_on_error=1:exitcode=99",
};

const build = join(root, "packages/runtime-cpu/build-sanitize");
run(process.execPath, [join(root, "scripts/build.mjs"), "--native-only", "--sanitize"]);
run(join(build, "native/kernels/kernels_test"), [], options);

// Node.js is not built with the sanitizers, so their library has to be there before everything else.
const library = spawnSync(process.env.CXX ?? "g++", ["-print-file-name=libasan.so"], { encoding: "utf8" });
const uvu = join(dirname(require.resolve("uvu")), "../bin.js");
// What the suites compile, they compile with an ordinary compiler: under the sanitizers' library it takes twice as long.
const compiler = join(build, "cxx");
writeFileSync(compiler, `#!/bin/sh\nunset LD_PRELOAD\nexec ${process.env.CXX ?? "g++"} "$@"\n`, {
  mode: 0o755,
});

/**
 * Leaves out files about what kernels compute, which the simulator runs as code of its own, and files about their compilers:
 * neither is the addon's code.
 */
const ofAddon =
  "^(?!.*(nvfp4|fp4|fp8|random-graphs|training|gather|casts|emitted|compil|nvcc|kernel-cache|sim/))";

function runSuites(folder, files = "") {
  const args = ["--conditions=source", "--import", "tsx", uvu, folder, `${files}.*\\.test\\.ts$`];
  console.log(`[sanitizers] ${args.slice(3).join(" ")}`);
  const env = {
    ...process.env,
    ...options,
    LD_PRELOAD: library.stdout.trim(),
    CXX: compiler,
    // Compiling takes longer than these kernels run, and is not what is checked.
    WEFT_SIM_FLAGS: "-O0",
    WEFT_CPU_ADDON: join(build, "Release/weft_cpu.node"),
    WEFT_CUDA_ADDON: join(root, "packages/runtime-cuda/build-sanitize/Release/weft_cuda.node"),
    WEFT_FUZZ_CASES: process.env.WEFT_FUZZ_CASES ?? "400",
    // Their kernels are compiled under the sanitizers too, which takes most of the time and finds nothing.
    WEFT_RANDOM_GRAPHS: process.env.WEFT_RANDOM_GRAPHS ?? "2",
  };
  const child = spawn(process.execPath, args, { cwd: root, env, stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (text) => (output += text));
  return new Promise((done) => {
    child.on("close", (code, signal) => {
      process.stdout.write(output);
      if (code !== 0) console.error(`[sanitizers] failed: ${folder}: ${signal ?? `exit code ${code}`}`);
      done(code === 0);
    });
  });
}
const suites = [runSuites("test/runtime-cpu")];
if (process.platform === "linux") suites.push(runSuites("test/runtime-cuda", ofAddon));
if ((await Promise.all(suites)).includes(false)) process.exit(1);
console.log("[sanitizers] clean");
