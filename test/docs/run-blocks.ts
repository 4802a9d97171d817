/** Imports the programs of a page, one after the other, and tells the parent what each printed and threw. */
import { pathToFileURL } from "node:url";

export interface Ran {
  readonly file: string;
  readonly printed: string;
  readonly error?: string;
}

const write = process.stdout.write;
for (const file of process.argv.slice(2)) {
  let printed = "";
  process.stdout.write = ((chunk: string | Uint8Array, ...rest: unknown[]) => {
    printed += typeof chunk === "string" ? chunk : Buffer.from(chunk).toString();
    (rest.findLast((one) => typeof one === "function") as (() => void) | undefined)?.();
    return true;
  }) as typeof process.stdout.write;
  let error: string | undefined;
  try {
    await import(pathToFileURL(file).href);
  } catch (thrown) {
    error = thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown);
  }
  process.stdout.write = write;
  process.send!({ file, printed, ...(error === undefined ? {} : { error }) } satisfies Ran);
}
process.disconnect();
