/** Files that a command writes beside what it prints: whether they can be is asked before minutes are spent. */
import { renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { makeFolder } from "@weft/runtime";
import { refuse } from "./refuse.ts";

/**
 * Makes the folder where it is missing.
 * @param option that names the file, for errors
 * @param example a name for it
 * @throws WeftError when the file could not be written, or is a folder
 */
export function checkOutputFile(option: string, file: string, example: string): void {
  attempt(option, file, () => makeFolder(dirname(file)));
  if (statSync(file, { throwIfNoEntry: false })?.isDirectory() === true)
    refuse(option, "must name a file", {
      given: `the folder ${file}`,
      remedy: `use ${join(file, example)}`,
    });
  const probe = `${file}.${process.pid}.part`;
  attempt(option, file, () => {
    writeFileSync(probe, "");
    rmSync(probe);
  });
}

/** Whole or not at all: a file that was cut short would be read, and mislead. */
export function writeOutputFile(option: string, file: string, text: string): void {
  attempt(option, file, () => {
    const part = `${file}.${process.pid}.part`;
    try {
      writeFileSync(part, text);
      renameSync(part, file);
    } catch (error) {
      rmSync(part, { force: true });
      throw error;
    }
  });
}

function attempt(option: string, file: string, action: () => void): void {
  try {
    action();
  } catch (error) {
    refuse(option, "the folder must be writable", {
      given: error instanceof Error ? error.message : String(error),
      location: file,
      remedy: `name another file with ${option}`,
    });
  }
}
