/** Writing to the terminal: results on stdout, everything else on stderr, colours only where a person looks. */
import { createColors } from "picocolors";

type Stream = NodeJS.WriteStream;

/** A person looks at this stream and has not asked for plain text. */
function colourful(stream: Stream): boolean {
  return stream.isTTY === true && !process.env.NO_COLOR && process.env.TERM !== "dumb";
}

export const colours = createColors(colourful(process.stdout));
export const errorColours = createColors(colourful(process.stderr));

/** A reader that has seen enough (`weft dump ... | head`) ends the command without a complaint. */
export function endOnClosedPipe(): void {
  for (const stream of [process.stdout, process.stderr]) {
    stream.on("error", (error: NodeJS.ErrnoException) => {
      if (error.code === "EPIPE") process.exit(0);
      // There is nowhere left to say it when stderr itself fails.
      if (stream === process.stdout)
        process.stderr.write(`[weft] cannot write the output; ${error.message}\n`);
      process.exit(1);
    });
  }
}

/** Writes to stdout and waits while the reader is slower than we are. */
export async function write(text: string): Promise<void> {
  if (process.stdout.write(text)) return;
  await new Promise<void>((resolve) => process.stdout.once("drain", resolve));
}

/** Text that ends with one line break. */
export function print(text: string): Promise<void> {
  return write(text.endsWith("\n") ? text : `${text}\n`);
}

export function printJson(value: unknown): Promise<void> {
  return print(JSON.stringify(value, undefined, 2));
}

/** A remark for the person at the terminal; never part of the result. */
export function remark(text: string): void {
  process.stderr.write(`${text}\n`);
}

/** Waits until everything that was written has been taken. */
export function flushed(): Promise<void> {
  return new Promise((resolve) => process.stdout.write("", () => resolve()));
}
