/** Turns that somebody types, or that come line by line through a pipe. */
import { createInterface } from "node:readline";
import { interruption } from "../terminal/interrupt.ts";
import { colours } from "../terminal/output.ts";

export async function* typedTurns(): AsyncGenerator<string, void> {
  const terminal = process.stdin.isTTY === true && process.stdout.isTTY === true;
  const reader = createInterface({
    input: process.stdin,
    prompt: colours.bold("> "),
    terminal,
    ...(terminal ? { output: process.stdout } : {}),
  });
  const close = () => reader.close();
  // In a terminal the reader takes Ctrl-C for itself.
  reader.on("SIGINT", () => process.emit("SIGINT"));
  interruption.addEventListener("abort", close);
  try {
    if (terminal) reader.prompt();
    for await (const line of reader) {
      if (line.trim() !== "") yield line;
      if (interruption.aborted) return;
      if (terminal) reader.prompt();
    }
  } finally {
    // What the shell prints next begins a line.
    if (terminal && interruption.aborted) process.stdout.write("\n");
    interruption.removeEventListener("abort", close);
    close();
  }
}
