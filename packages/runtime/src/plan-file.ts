/** Plans as files: JSON, with a hash over the content that tells when it was edited or cut short. */
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import type { Plan } from "@weft/compiler";
import { userProblem, WeftError } from "@weft/dsl";

/** SHA-256 over the plan's JSON with an empty hash; the compiler's `hashPlan`, without needing the compiler. */
export function planHash(plan: Plan): string {
  return createHash("sha256")
    .update(JSON.stringify({ ...plan, hash: "" }))
    .digest("hex");
}

export interface LoadPlanOptions {
  /** Accepts a plan whose hash does not match its content. Default false. The device checks it all the same. */
  readonly allowEdited?: boolean;
  /** The only version that the caller understands. It is looked at first: a plan of another one may be hashed otherwise. */
  readonly version?: number;
}

/**
 * Reads a plan from a JSON file and checks its hash.
 * @throws WeftError when the file cannot be read, is no JSON object, is of another version or was changed since it was
 * compiled.
 */
export async function loadPlan(path: string, options: LoadPlanOptions = {}): Promise<Plan> {
  const refuse = (requirement: string, given: string, remedy: string, cause?: unknown): never => {
    throw new WeftError([userProblem("plan", requirement, { given, location: path, remedy })], { cause });
  };
  let text = "";
  try {
    text = await readFile(path, "utf8");
  } catch (error) {
    refuse("the file must be readable", (error as Error).message, "check the path", error);
  }
  let plan: unknown;
  try {
    plan = JSON.parse(text);
  } catch (error) {
    refuse("the file must hold JSON", (error as Error).message, "compile the plan again", error);
  }
  if (typeof plan !== "object" || plan === null || Array.isArray(plan))
    refuse(
      "the file must hold one plan",
      Array.isArray(plan) ? "an array" : plan === null ? "null" : `a ${typeof plan}`,
      "compile the plan again",
    );
  if (!("hash" in (plan as object)))
    refuse(
      "the file must hold one plan",
      "JSON of another kind",
      "give what `weft dump --stage plan --format json` prints",
    );
  const loaded = plan as Plan;
  if (options.version !== undefined && loaded.version !== options.version)
    refuse(
      `the plan must be of version ${options.version}`,
      `version ${JSON.stringify(loaded.version)}`,
      "compile it again with this version of Weft, or use the version that wrote it",
    );
  const hash = planHash(loaded);
  if (options.allowEdited !== true && loaded.hash !== hash)
    refuse(
      "the plan's hash must match its content",
      String(loaded.hash),
      "compile it again, or pass allowEdited",
    );
  return loaded;
}
