/** NVRTC, NVIDIA's compiler as a library: kernel text to a cubin where there is no toolkit. */
import { userProblem, WeftError } from "@weft/dsl";
import { nativeCall } from "@weft/runtime";
import { addon } from "../addon.ts";
import type { CudaCompiler } from "./compiler.ts";
import { problemsOf } from "./diagnostics.ts";
import { driverMajor, driverVersionText, loadsImagesOf } from "./driver-version.ts";
import { capabilityOf } from "./targets.ts";

const native = nativeCall("runtime-cuda");

export interface Nvrtc {
  /** The library that was found. */
  readonly path: string;
  /** "13.0". */
  readonly version: string;
  /** Compute capabilities that it compiles for; 9.0 is 90. */
  readonly architectures: readonly number[];
}

/** What the images are for, as far as it is known. */
export interface NvrtcNeeds {
  /** Of the driver that will load them; 13.0 as 13000. */
  readonly driverVersion?: number;
  readonly target?: string;
}

/**
 * The newest NVRTC of this machine that the driver's version allows and that knows the target.
 * @throws WeftError with the places tried when there is none, or with what is there and why it does not serve.
 */
export function findNvrtc({ driverVersion, target }: NvrtcNeeds = {}): Nvrtc {
  const found = native(() => addon().listCompilers())
    .toSorted((a, b) => b.major - a.major || b.minor - a.minor)
    .map(({ path, major, minor, architectures }) => ({ path, version: `${major}.${minor}`, architectures }));
  const listed = (some: readonly Nvrtc[]) =>
    some.map(({ version, path }) => `${version} (${path})`).join(", ");
  const loadable =
    driverVersion === undefined
      ? found
      : found.filter(({ version }) => loadsImagesOf(driverVersion, version));
  if (driverVersion !== undefined && loadable.length === 0) {
    const major = driverMajor(driverVersion);
    throw new WeftError([
      userProblem("nvrtc", "the driver must support NVRTC's CUDA version", {
        given: `NVRTC ${listed(found)} and a driver for CUDA ${driverVersionText(driverVersion)}`,
        remedy: `update the NVIDIA driver, or install NVRTC of CUDA ${major} (pip install ${packageOf(major)}) or name it in WEFT_NVRTC`,
      }),
    ]);
  }
  const fitting = loadable.find(
    ({ architectures }) => target === undefined || architectures.includes(capabilityOf(target)),
  );
  if (fitting !== undefined) return fitting;
  throw new WeftError([
    userProblem("nvrtc", `NVRTC must know the GPU's architecture ${target}`, {
      given: `NVRTC ${listed(loadable)}`,
      remedy: `install a newer one (pip install -U ${driverVersion === undefined ? "nvidia-cuda-nvrtc" : packageOf(driverMajor(driverVersion))}) or name it in WEFT_NVRTC`,
    }),
  ]);
}

/** The package of pip with the newest NVRTC of a CUDA major version. */
const packageOf = (major: number) =>
  major < 13 ? `nvidia-cuda-nvrtc-cu${major}` : `"nvidia-cuda-nvrtc==${major}.*"`;

/** Part of what a compilation depends on, so a cache's key needs them. */
export const nvrtcFlags: readonly string[] = ["--std=c++17"];

/**
 * Compiles self-contained text for one architecture ("sm_90a"), off the event loop.
 * @throws WeftError with a problem for each of the compiler's first errors.
 */
export async function compileWithNvrtc(nvrtc: Nvrtc, source: string, target: string): Promise<Uint8Array> {
  const { image, log } = await native(() =>
    addon().compileText(nvrtc.path, source, "kernels.cu", target, nvrtcFlags),
  );
  if (image === undefined) {
    const compiler = `nvrtc ${nvrtc.version}`;
    throw new WeftError(problemsOf({ compiler, target, source, output: log }));
  }
  return image;
}

/**
 * NVRTC as a compiler of modules.
 * @throws WeftError as `findNvrtc` does
 */
export function nvrtcCompiler(needs: NvrtcNeeds = {}): CudaCompiler {
  const nvrtc = findNvrtc(needs);
  return {
    name: "nvrtc",
    version: nvrtc.version,
    toolkitVersion: nvrtc.version,
    flags: nvrtcFlags,
    compile: async (source, target) => ({ image: await compileWithNvrtc(nvrtc, source, target), log: "" }),
  };
}
