/**
 * A conversation's log: one JSON object per line, on the disk before the conversation goes on. A disk that fills costs
 * the log its further lines, never one that was written, and never the conversation.
 */
import { closeSync, fstatSync, fsyncSync, ftruncateSync, openSync, writeSync } from "node:fs";
import { refuse } from "../terminal/refuse.ts";

export class ConversationLog {
  readonly #file: string;
  readonly #descriptor: number;
  readonly #isFile: boolean;
  #failure: string | undefined;

  /** @throws WeftError when the file cannot be opened: better before the model loads than after the first answer. */
  constructor(file: string) {
    this.#file = file;
    try {
      this.#descriptor = openSync(file, "a");
    } catch (error) {
      refuse("--log", "the file must be writable", {
        given: messageOf(error),
        location: file,
        remedy: "check the path and its permissions",
      });
    }
    this.#isFile = fstatSync(this.#descriptor).isFile();
  }

  /** What went wrong, undefined while all is well. */
  get failure(): string | undefined {
    return this.#failure;
  }

  /** Appends a line. After a failure nothing more is tried: a log with a hole would mislead. */
  append(entry: object): void {
    if (this.#failure !== undefined) return;
    const before = this.#isFile ? fstatSync(this.#descriptor).size : 0;
    try {
      const bytes = Buffer.from(`${JSON.stringify(entry)}\n`);
      for (let written = 0; written < bytes.length; ) {
        written += writeSync(this.#descriptor, bytes, written);
      }
      if (this.#isFile) fsyncSync(this.#descriptor);
    } catch (error) {
      this.#failure = `[--log] cannot write ${this.#file}; ${messageOf(error)}; earlier messages are in it, later ones are not; make room and go on with a new log`;
      // Half a line would make the whole file unreadable.
      if (this.#isFile) ftruncateSync(this.#descriptor, before);
    }
  }

  [Symbol.dispose](): void {
    closeSync(this.#descriptor);
  }
}

const messageOf = (error: unknown) => (error instanceof Error ? error.message : String(error));
