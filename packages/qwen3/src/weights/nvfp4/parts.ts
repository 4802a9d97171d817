/** Tensors that belong together, and what can be wrong about that. */
import { type Problem, userProblem } from "../../config/problems.ts";
import type { TensorEntry } from "../header.ts";
import type { Nvfp4Format } from "./quantized-linear.ts";

/** The tensors that make one linear, before anything of them is looked at but their names. */
export interface Parts {
  /** The parameter. */
  readonly name: string;
  readonly format: Nvfp4Format;
  readonly codes: TensorEntry;
  readonly scales: TensorEntry;
  readonly tensorScale: TensorEntry | undefined;
  readonly inputScale: TensorEntry | undefined;
}

export interface FoundParts {
  readonly linears: readonly Parts[];
  readonly problems: readonly Problem[];
}

/** A weight that is stored twice: nobody can say which of the two is meant. */
export function twoForms(file: string, name: string, given: readonly string[]): Problem {
  return userProblem(file, "a linear must be stored in one form", {
    given: given.join(" and "),
    path: name,
    remedy: "remove the one that is not meant",
  });
}

export function missingPart(file: string, name: string, what: string, beside: string): Problem {
  return userProblem(file, `${what} must be there`, {
    given: `${beside} alone`,
    path: name,
    remedy: "fetch the checkpoint again; all parts of a linear must be there",
  });
}
