/** `weft cache`: what is kept between runs, and how to be rid of it. */
import { formatBytes } from "@weft/compiler";
import { type CacheStatus, cacheStatus, clearCache } from "@weft/runtime";
import type { CacheAction, CacheOptions } from "../commands/cache.ts";
import { print, printJson } from "../terminal/output.ts";
import { formatTable } from "../terminal/table.ts";

export async function cache(action: CacheAction, options: CacheOptions): Promise<void> {
  const read = action === "clear" ? clearCache : cacheStatus;
  const found = (["plans", "kernels"] as const).map((kind) => read(kind));
  if (options.json === true) {
    const folders = found.map(({ directory, ...one }) => ({ ...one, directory: directory || null }));
    await printJson(action === "clear" ? { removed: folders } : { folders });
  } else await print(report(action, found));
}

function report(action: CacheAction, found: readonly CacheStatus[]): string {
  const removed = action === "clear" ? "removed" : "";
  const rows = found.map(({ kind, directory, entries, bytes }) => [
    removed === "" ? kind : `${removed} ${kind}`,
    `${entries} ${entries === 1 ? "entry" : "entries"}`,
    formatBytes(bytes),
    directory || "nothing is kept: WEFT_CACHE_DIR is empty",
  ]);
  return formatTable(
    [{ title: "" }, { title: "", align: "right" }, { title: "", align: "right" }, { title: "" }],
    rows,
  );
}
