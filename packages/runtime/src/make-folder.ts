import { existsSync, mkdirSync, statSync } from "node:fs";
import { dirname, resolve } from "node:path";

/**
 * Makes a folder, and those above it that are absent; one that is there is fine. Not by `mkdirSync` with `recursive`: it
 * never returns where a parent is absent and cannot be made either, as below /proc (a home directory of some services).
 * @throws the system's error for the first folder that cannot be made
 */
export function makeFolder(directory: string): void {
  // A file in its place is the system's to refuse.
  if (statSync(directory, { throwIfNoEntry: false })?.isDirectory() === false) mkdirSync(directory);
  const absent: string[] = [];
  for (let path = resolve(directory); !existsSync(path) && dirname(path) !== path; path = dirname(path)) {
    absent.push(path);
  }
  for (const path of absent.reverse()) {
    try {
      mkdirSync(path);
    } catch (error) {
      // Another process was quicker.
      if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
    }
  }
}
