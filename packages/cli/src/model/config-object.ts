/** A config.json that was given by itself, without a checkpoint around it. */
import { readFileSync } from "node:fs";
import { refuse } from "../terminal/refuse.ts";

/** The file's JSON object; what its values mean is for `parseQwen3Config` to say. */
export function configObject(file: string): Readonly<Record<string, unknown>> {
  const remedy = "give the config.json of a Qwen3 model";
  try {
    const value: unknown = JSON.parse(readFileSync(file, "utf8"));
    if (typeof value === "object" && value !== null) return value as Readonly<Record<string, unknown>>;
  } catch (error) {
    refuse(file, "must be a JSON file", { given: (error as Error).message, remedy });
  }
  return refuse(file, "must be a JSON object", { remedy });
}
