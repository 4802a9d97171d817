/** Names of what is being written: until it is renamed nobody takes it for the thing itself. */
import { randomBytes } from "node:crypto";
import { readdirSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";

const suffix = ".tmp";

/** Holds the process, so that another one can tell whether it is still being written. */
export const temporaryName = (name: string): string =>
  `.${name}.${process.pid}-${randomBytes(4).toString("hex")}${suffix}`;

/**
 * Removes what killed runs left unfinished. A process that still lives may be writing its own.
 * @param name of what was to be written; default: anything
 */
export async function removeLeftovers(folder: string, name?: string): Promise<void> {
  for (const entry of readdirSync(folder)) {
    const [, of, owner] = new RegExp(`^\\.(.*)\\.(\\d+)-[\\da-f]{8}\\${suffix}$`).exec(entry) ?? [];
    if (owner === undefined || lives(Number(owner)) || (name !== undefined && of !== name)) continue;
    await rm(join(folder, entry), { recursive: true, force: true });
  }
}

function lives(id: number): boolean {
  if (id === process.pid) return false;
  try {
    process.kill(id, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}
