/** Golden files: what a result must be, written down under test/golden; WEFT_UPDATE_GOLDEN=1 writes them anew. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";

/** The text of `test/golden/NAME`; empty where there is none yet. */
export function goldenText(name: string, actual: string): string {
  const file = join(import.meta.dirname, "../golden", name);
  if (process.env.WEFT_UPDATE_GOLDEN === "1") {
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, actual);
  }
  return existsSync(file) ? readFileSync(file, "utf8") : "";
}
