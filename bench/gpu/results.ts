/** bench/results/gpu.DEVICE.json: the figures with device, driver, commit and date. */
import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import type { CudaDevice } from "@weft/runtime-cuda";
import { provenance } from "../support/results.ts";
import type { Measured } from "./rows.ts";
import { targetsOf } from "./targets.ts";
import type { BenchOptions } from "./work.ts";

const results = fileURLToPath(new URL("../results", import.meta.url));

/** The version of the kernel's driver, which the driver's library does not tell; undefined where nothing says it. */
function driverRelease(): string | undefined {
  const asked = spawnSync("nvidia-smi", ["--query-gpu=driver_version", "--format=csv,noheader"], {
    encoding: "utf8",
    timeout: 20_000,
  });
  if (asked.status === 0) return asked.stdout.trim().split("\n")[0];
  try {
    return /Kernel Module[^\d]*([\d.]+)/.exec(readFileSync("/proc/driver/nvidia/version", "utf8"))?.[1];
  } catch {
    return undefined;
  }
}

/** `NVIDIA H100 80GB HBM3` as a part of a file's name. */
export const fileNameOf = (device: string): string =>
  `gpu.${device.replace(/[^A-Za-z0-9.]+/g, "-").toLowerCase()}.json`;

/** Writes what is measured so far, so that a run that is cut off leaves it; gives the path. */
export function writeGpuResults(
  { facts, matmulLibrary }: Pick<CudaDevice, "facts" | "matmulLibrary">,
  options: BenchOptions,
  measured: Measured,
): string {
  const about = provenance();
  const folder = options.out === undefined ? results : resolve(options.out);
  const file = join(folder, fileNameOf(facts.name));
  mkdirSync(folder, { recursive: true });
  const { name, computeCapability, multiprocessors, totalBytes, driverVersion } = facts;
  const content = {
    device: { name, computeCapability, multiprocessors, memoryBytes: totalBytes },
    matmulLibrary,
    driver: { release: driverRelease(), cuda: driverVersion },
    host: about.device,
    node: about.node,
    // A bundle has no repository; it says what it was made from.
    commit: process.env.WEFT_BUNDLE_COMMIT ?? about.commit,
    date: about.date,
    peers: measured.peers,
    options: {
      tokens: options.tokens,
      overlap: options.overlap,
      contexts: options.contexts,
      prefill: options.prefill,
      train: options.train,
    },
    limits: measured.limits,
    targets: targetsOf(measured.rows),
    rows: measured.rows,
    profiles: measured.profiles,
    missing: measured.missing,
  };
  writeFileSync(file, `${JSON.stringify(content, null, 2)}\n`);
  return file;
}
