/** What a GPU is, as its driver tells; kernels are compiled for it. */
export interface DeviceFacts {
  readonly name: string;
  /** 9.0 as 90. */
  readonly computeCapability: number;
  readonly multiprocessors: number;
  /** The most dynamic shared memory that a block may ask for. */
  readonly sharedBytesPerBlock: number;
  readonly totalBytes: number;
  /** When the device was opened. */
  readonly freeBytes: number;
  /** 13.0 as 13000; of the driver, not of a toolkit. */
  readonly driverVersion: number;
}

/** The library that large matrix products go by. */
export interface MatmulLibraryFacts {
  readonly found: boolean;
  /** Its name, version and path; or why there is none. */
  readonly note: string;
}
