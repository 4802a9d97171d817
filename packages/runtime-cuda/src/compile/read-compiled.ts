/** Reads a folder of compiled kernels, and believes nothing in it that its hashes do not vouch for. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { CudaPlan, Plan } from "@weft/compiler";
import { userProblem, WeftError } from "@weft/dsl";
import { planHash } from "@weft/runtime";
import { cubinArchitecture } from "./cubin.ts";
import { driverMajor, driverVersionText, loadsImagesOf } from "./driver-version.ts";
import { sha256 } from "./kernel-entry.ts";
import {
  type CompiledManifest,
  isManifest,
  manifestFile,
  manifestHash,
  type StoredFile,
  type StoredPlan,
  versions,
} from "./manifest.ts";
import { capabilityOf, targetFor, targetNames } from "./targets.ts";

export interface CompiledFolder {
  readonly directory: string;
  readonly plan: Plan;
  readonly cudaPlan: CudaPlan;
  readonly manifest: CompiledManifest;
  /** One image per module of `cudaPlan`, by target. */
  readonly images: ReadonlyMap<string, readonly Uint8Array[]>;
  /**
   * The images that a device of this compute capability (9.0 is 90) executes, and its driver (13.0 is 13000) loads.
   * @throws WeftError with the targets that are there, where none of them fits, or with the versions of driver and toolkit
   */
  imagesFor(capability: number, driverVersion?: number): readonly Uint8Array[];
}

const again = "compile it again with `weft compile`";

function refuse(
  location: string,
  requirement: string,
  given: string,
  remedy = again,
  cause?: unknown,
): never {
  throw new WeftError([userProblem("compiled", requirement, { given, location, remedy })], { cause });
}

/**
 * @throws WeftError naming the file, what is wrong with it and the remedy: absent, truncated or edited files, other
 * versions, files that do not belong together, an image of another architecture than its name says
 */
export async function readCompiled(directory: string): Promise<CompiledFolder> {
  const manifest = await readManifest(join(directory, manifestFile));
  const stored = await readPart(directory, manifest.plan);
  const { plan, cuda: cudaPlan } = storedPlan(join(directory, manifest.plan.file), stored);
  const images = new Map<string, readonly Uint8Array[]>();
  for (const { target, images: files } of manifest.targets) {
    const capability = capabilityOf(target);
    if (files.length !== cudaPlan.modules.length) {
      refuse(
        join(directory, manifestFile),
        `${target} must have an image for each of the ${cudaPlan.modules.length} modules`,
        String(files.length),
      );
    }
    const contents: Uint8Array[] = [];
    for (const file of files) {
      const image = await readPart(directory, file);
      const architecture = cubinArchitecture(image);
      if (architecture !== capability) {
        const given = architecture === undefined ? "another kind of file" : `one for sm_${architecture}`;
        refuse(join(directory, file.file), `the file must be a cubin for ${target}`, given);
      }
      contents.push(image);
    }
    images.set(target, contents);
  }
  const imagesFor = (capability: number, driverVersion?: number): readonly Uint8Array[] => {
    if (driverVersion !== undefined) refuseOldDriver(directory, manifest, driverVersion);
    const target = targetFor(capability, [...images.keys()]);
    if (target !== undefined) return images.get(target)!;
    const missing = targetFor(capability);
    return refuse(
      directory,
      `there must be images for the device's compute capability ${(capability / 10).toFixed(1)}`,
      [...images.keys()].join(", ") || "none at all",
      missing === undefined
        ? `no target of \`weft compile\` runs on it; there are ${targetNames.join(", ")}`
        : `compile it for this device too: \`weft compile --target ${missing}\``,
    );
  };
  return { directory, plan, cudaPlan, manifest, images, imagesFor };
}

function refuseOldDriver(
  directory: string,
  { compiler: { name, toolkitVersion } }: CompiledManifest,
  driverVersion: number,
): void {
  if (loadsImagesOf(driverVersion, toolkitVersion)) return;
  refuse(
    directory,
    "the driver must support the CUDA version of the images",
    `images of ${name} ${toolkitVersion} and a driver for CUDA ${driverVersionText(driverVersion)}`,
    `update the NVIDIA driver, or compile it again with ${name} of CUDA ${driverMajor(driverVersion)}`,
  );
}

async function readManifest(location: string): Promise<CompiledManifest> {
  let manifest: unknown;
  try {
    manifest = JSON.parse((await readOrRefuse(location)).toString("utf8"));
  } catch (error) {
    if (error instanceof WeftError) throw error;
    refuse(location, "the file must hold JSON", (error as Error).message, again, error);
  }
  if (!isManifest(manifest)) return refuse(location, "the file must describe compiled kernels", "other JSON");
  for (const name of ["version", "planVersion", "cudaVersion"] as const) {
    if (manifest[name] !== versions[name]) {
      refuse(
        location,
        `its ${name} must be ${versions[name]}, which this Weft reads`,
        String(manifest[name]),
      );
    }
  }
  if (manifest.hash !== manifestHash(manifest)) {
    refuse(
      location,
      "its hash must match its content",
      `${manifest.hash}, so that it was edited or cut short`,
    );
  }
  return manifest;
}

async function readPart(directory: string, { file, bytes, sha256: hash }: StoredFile): Promise<Buffer> {
  const location = join(directory, file);
  const content = await readOrRefuse(location);
  if (content.length !== bytes) {
    refuse(location, `the file must have ${bytes} bytes as it was written with`, `${content.length} bytes`);
  }
  if (sha256(content) !== hash) {
    refuse(location, "the file's hash must be the one in manifest.json", "a file that was changed since");
  }
  return content;
}

async function readOrRefuse(location: string): Promise<Buffer> {
  try {
    return await readFile(location);
  } catch (error) {
    return refuse(
      location,
      "the file must be readable",
      (error as Error).message,
      "check the path, or compile it again",
      error,
    );
  }
}

/** The hashes hold, so it is what was written; whether it was written for each other is another question. */
function storedPlan(location: string, content: Buffer): StoredPlan {
  const stored = JSON.parse(content.toString("utf8")) as StoredPlan;
  if (stored.plan?.hash !== planHash(stored.plan)) {
    refuse(location, "the plan's hash must match its content", String(stored.plan?.hash));
  }
  if (stored.cuda?.plan !== stored.plan.hash) {
    refuse(location, "the launches must belong to the plan", `launches of ${stored.cuda?.plan}`);
  }
  return stored;
}
