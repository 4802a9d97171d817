/** What a run yields, as it is written to the results. */
import type { Spread } from "../support/statistics.ts";
import type { ModelName, Who } from "./work.ts";

/** Tokens per second of one program on one model. */
export interface Row {
  readonly model: ModelName;
  readonly who: Who;
  /**
   * `decode`: of one text, token by token. `step`: ours without sampling and without logits on the host. `train`: whole
   * steps of training.
   */
  readonly kind: "decode" | "step" | "prefill" | "train";
  /** Tokens in the cache when decoding begins, or tokens of the prompt, or of a whole training step. */
  readonly size: number;
  /** Tokens or prompts that the figure is taken from. */
  readonly samples: number;
  readonly tokensPerSecond: Spread;
  /** Bytes that must move for a token, by the cost model. */
  readonly bytesPerToken?: number;
  /** What a token of a training step is worth, whoever computes it. */
  readonly operationsPerToken?: number;
  /** Of device memory: what the plan takes, or what the peer's allocator had reserved at most. */
  readonly memoryBytes?: number;
  /** How a peer ran: `compiled, reduce-overhead`. */
  readonly note?: string;
}

/** All steps of a program that run one kernel. */
export interface KernelTime {
  readonly kernel: string;
  readonly steps: number;
  readonly seconds: number;
  readonly bytes: number;
  readonly operations: number;
}

export interface KernelProfile {
  readonly model: ModelName;
  readonly program: "decode" | "prefill";
  readonly size: number;
  readonly kernels: readonly KernelTime[];
}

/** What the device can do at most, and who says so. */
export interface Limits {
  readonly copyBytesPerSecond?: number;
  readonly matmulOperationsPerSecond?: number;
  readonly source: string;
}

/** Something that could not be measured, and why. */
export interface Missing {
  readonly what: string;
  readonly why: string;
}

export interface Measured {
  readonly rows: Row[];
  readonly profiles: KernelProfile[];
  readonly missing: Missing[];
  limits: Limits;
  /** Software of the peers: `torch`, `transformers`. */
  peers: Readonly<Record<string, string>>;
}
