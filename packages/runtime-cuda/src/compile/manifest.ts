/**
 * A folder of compiled kernels. `manifest.json` names every file with its size and hash; `plan.json` holds the plan and
 * its launches, the text of the kernels included so that one can read what runs; each module is one cubin per target.
 */
import { basename } from "node:path";
import { type CudaPlan, cudaVersion, type Plan, planVersion } from "@weft/compiler";
import { sha256 } from "./kernel-entry.ts";

export const manifestFile = "manifest.json";
export const planFile = "plan.json";

/** Raised when folders of the old version must not be read any more. */
export const compiledVersion = 2;

export interface StoredFile {
  /** A name in the same folder. */
  readonly file: string;
  readonly bytes: number;
  readonly sha256: string;
}

export interface CompiledManifest {
  readonly format: "weft-compiled";
  readonly version: number;
  /** SHA-256 over the manifest with an empty hash. */
  readonly hash: string;
  /** Of plan and launches; a runtime executes only those that it knows. */
  readonly planVersion: number;
  readonly cudaVersion: number;
  readonly plan: StoredFile;
  readonly compiler: {
    readonly name: string;
    readonly version: string;
    /** CUDA version of its toolkit, "13.0": an older driver does not load the images. */
    readonly toolkitVersion: string;
    readonly flags: readonly string[];
  };
  readonly targets: readonly {
    readonly target: string;
    /** One per module, in the plan's order. */
    readonly images: readonly StoredFile[];
  }[];
}

/** What plan.json holds. */
export interface StoredPlan {
  readonly plan: Plan;
  readonly cuda: CudaPlan;
}

export const versions = { version: compiledVersion, planVersion, cudaVersion } as const;

export function manifestHash(manifest: CompiledManifest): string {
  return sha256(JSON.stringify({ ...manifest, hash: "" }));
}

export const storedFile = (file: string, content: Uint8Array): StoredFile => ({
  file,
  bytes: content.length,
  sha256: sha256(content),
});

/** Whether this is data that a manifest may hold; a hash tells edits apart, not what was never right. */
export function isManifest(value: unknown): value is CompiledManifest {
  const { format, version, plan, compiler, targets } = (value ?? {}) as Partial<CompiledManifest>;
  return (
    format === "weft-compiled" &&
    isStoredFile(plan) &&
    typeof compiler === "object" &&
    // Folders of another version say so themselves.
    (version !== compiledVersion || /^\d+\.\d+$/.test(compiler?.toolkitVersion ?? "")) &&
    Array.isArray(targets) &&
    targets.every((one) => typeof one?.target === "string" && one.images?.every?.(isStoredFile) === true)
  );
}

/** A file outside the folder is never meant. */
function isStoredFile(value: unknown): value is StoredFile {
  const { file, bytes, sha256: hash } = (value ?? {}) as Partial<StoredFile>;
  return (
    typeof file === "string" &&
    file !== ".." &&
    basename(file) === file &&
    typeof bytes === "number" &&
    typeof hash === "string"
  );
}
