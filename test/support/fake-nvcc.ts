/** A program that behaves like nvcc without compiling: for tests of everything around it. */
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";

/** The header of a cubin for `major * 10 + minor`, and nothing else. */
export function cubinHeader(architecture: number, length = 64): Uint8Array {
  const image = Buffer.alloc(length);
  image.writeUInt32BE(0x7f454c46, 0);
  image.writeUInt8(8, 8);
  image.writeUInt16LE(190, 0x12);
  image.writeUInt32LE((architecture << 8) | 2, 0x30);
  return image;
}

export interface FakeNvcc {
  readonly path: string;
  /** The targets that it has compiled for, in order. */
  compiled(): string[];
}

export interface FakeNvccOptions {
  /** What it prints, instead of compiling, before it ends with code 2. */
  readonly failure?: string;
  /** What it says that it compiles for. */
  readonly architectures?: readonly number[];
}

/**
 * Writes the program. It takes every kernel that the text declares for one of 40 registers.
 */
export function writeFakeNvcc(
  path: string,
  { failure = "", architectures = [80, 89, 90, 100, 120, 121] }: FakeNvccOptions = {},
): FakeNvcc {
  mkdirSync(dirname(path), { recursive: true });
  const calls = `${path}.calls`;
  const program = `#!${process.execPath}
const { appendFileSync, readFileSync, writeFileSync } = require("node:fs");
const argv = process.argv.slice(2);
if (argv[0] === "--version") {
  console.log("Cuda compilation tools, release 13.0, V13.0.88");
  process.exit(0);
}
if (argv[0] === "--list-gpu-arch") {
  for (const one of ${JSON.stringify(architectures)}) console.log("compute_" + one);
  process.exit(0);
}
const target = argv.find((one) => one.startsWith("-arch=")).slice(6);
appendFileSync(${JSON.stringify(calls)}, target + "\\n");
if (${JSON.stringify(failure)} !== "") {
  console.error(${JSON.stringify(failure)});
  process.exit(2);
}
const header = ${cubinHeader.toString()};
for (const [, name] of readFileSync("kernels.cu", "utf8").matchAll(/^WEFT_KERNEL\\((\\w+),/gm)) {
  console.error("ptxas info    : Compiling entry function '" + name + "' for '" + target + "'");
  console.error("ptxas info    : Function properties for " + name);
  console.error("    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads");
  console.error("ptxas info    : Used 40 registers, used 1 barriers");
}
writeFileSync(argv[argv.indexOf("-o") + 1], header(Number(/\\d+/.exec(target)[0])));
`;
  writeFileSync(path, program);
  chmodSync(path, 0o755);
  return {
    path,
    compiled: () => (existsSync(calls) ? readFileSync(calls, "utf8").trim().split("\n") : []),
  };
}
