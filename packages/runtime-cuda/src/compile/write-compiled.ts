/** Writes a folder of compiled kernels; `readCompiled` reads it. */
import { readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { CudaPlan, Plan } from "@weft/compiler";
import { makeFolder } from "@weft/runtime";
import type { TargetImages } from "./compile-ahead.ts";
import type { CudaCompiler } from "./compiler.ts";
import {
  type CompiledManifest,
  isManifest,
  manifestFile,
  manifestHash,
  planFile,
  type StoredFile,
  type StoredPlan,
  storedFile,
  versions,
} from "./manifest.ts";

export interface CompiledParts {
  readonly plan: Plan;
  readonly cudaPlan: CudaPlan;
  readonly compiler: Pick<CudaCompiler, "name" | "version" | "toolkitVersion" | "flags">;
  readonly targets: readonly Pick<TargetImages, "target" | "images">[];
}

/**
 * Writes all files and gives the manifest, which comes last: a folder that was written half is refused by its reader.
 * What an earlier manifest in the folder names goes; other files stay.
 * @throws the system's error for a folder that cannot be written
 */
export function writeCompiled(directory: string, parts: CompiledParts): CompiledManifest {
  makeFolder(directory);
  const before = namedBefore(directory);
  const write = (file: string, content: Uint8Array): StoredFile => {
    const temporary = join(directory, `${file}.tmp`);
    try {
      writeFileSync(temporary, content);
      renameSync(temporary, join(directory, file));
    } catch (error) {
      rmSync(temporary, { force: true });
      throw error;
    }
    return storedFile(file, content);
  };
  const stored: StoredPlan = { plan: parts.plan, cuda: parts.cudaPlan };
  const plan = write(planFile, Buffer.from(JSON.stringify(stored)));
  const { name, version, toolkitVersion, flags } = parts.compiler;
  const targets = parts.targets.map(({ target, images }) => ({
    target,
    images: images.map((image, index) => {
      const module = parts.cudaPlan.modules[index]!.name.replace(/[^A-Za-z0-9_-]/g, "_");
      const number = images.length === 1 ? "" : `.${index}`;
      return write(`${module}${number}.${target}.cubin`, image);
    }),
  }));
  const unsigned: CompiledManifest = {
    format: "weft-compiled",
    ...versions,
    hash: "",
    plan,
    compiler: { name, version, toolkitVersion, flags },
    targets,
  };
  const manifest = { ...unsigned, hash: manifestHash(unsigned) };
  write(manifestFile, Buffer.from(`${JSON.stringify(manifest, undefined, 2)}\n`));
  const written = filesOf(manifest);
  for (const file of before) if (!written.includes(file)) rmSync(join(directory, file), { force: true });
  return manifest;
}

const filesOf = ({ plan, targets }: CompiledManifest): string[] => [
  plan.file,
  ...targets.flatMap(({ images }) => images.map(({ file }) => file)),
];

function namedBefore(directory: string): string[] {
  try {
    const manifest: unknown = JSON.parse(readFileSync(join(directory, manifestFile), "utf8"));
    return isManifest(manifest) && manifest.hash === manifestHash(manifest) ? filesOf(manifest) : [];
  } catch {
    return [];
  }
}
