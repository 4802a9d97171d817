/** What the ways to compile a module (nvcc, NVRTC, the simulator's host compiler) have in common. */

/** What ptxas says about one kernel. */
export interface KernelResources {
  /** Name of the `__global__` function. */
  readonly kernel: string;
  /** Registers of a thread. */
  readonly registers: number;
  /** Bytes that a thread writes to and reads from local memory because registers did not suffice. */
  readonly spillStores: number;
  readonly spillLoads: number;
  /** Bytes of a thread's stack, spilled registers included. */
  readonly stackBytes: number;
  /** Shared memory that the text declares, in bytes; what a launch asks for comes on top. */
  readonly staticSharedBytes: number;
}

export interface Compilation {
  /** A cubin, or whatever the device loads. */
  readonly image: Uint8Array;
  /** What the compiler printed; for nvcc the place of `kernelResources`. */
  readonly log: string;
}

export interface Compiler {
  readonly name: string;
  readonly version: string;
  /** All else that decides the image, besides source and target; part of the key of the cache. */
  readonly flags: readonly string[];
  /** Folders of prelude files that come before the compiler's own; none by default. */
  readonly preludeFolders?: readonly string[];
  /**
   * @param source self-contained text, as `selfContained` makes it
   * @throws WeftError with every error of the compiler, its place in the text and the block that the kernel serves
   */
  compile(source: string, target: string): Promise<Compilation>;
}

/** One of NVIDIA's: what it makes needs a driver that knows its version. */
export interface CudaCompiler extends Compiler {
  /** CUDA version of its toolkit, "13.0". */
  readonly toolkitVersion: string;
}
