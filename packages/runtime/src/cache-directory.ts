/** Where things that can be made again are kept between runs. */
import { homedir } from "node:os";
import { join } from "node:path";

/** What is kept: compiled plans, and compiled kernels of devices that need them. */
export type CacheKind = "plans" | "kernels";

/** The folder of a kind: under WEFT_CACHE_DIR, else the user's cache directory. Empty: nowhere. */
export function cacheDirectory(kind: CacheKind, environment: NodeJS.ProcessEnv = process.env): string {
  const own = environment.WEFT_CACHE_DIR;
  if (own !== undefined) return own === "" ? "" : join(own, kind);
  return join(environment.XDG_CACHE_HOME || join(homedir(), ".cache"), "weft", kind);
}
