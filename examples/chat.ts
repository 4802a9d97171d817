// A conversation whose cache stays: each turn runs only what is new. Type a line and press return; Ctrl-D ends it.
//
//   npx tsx examples/chat.ts path/to/Qwen3-0.6B
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { openQwen3, Session } from "@weft/qwen3";

const given = process.argv[2] || process.env.WEFT_MODEL;
const directory = given || fileURLToPath(new URL("../test/fixtures/tiny", import.meta.url));

using model = await openQwen3(directory);
using session = new Session(model, {
  system: "You answer in one sentence.",
  maxTokens: 64,
  // The tiny checkpoint has no chat template of its own; a real one is used as it is.
  ...(given ? {} : { template: "chatml" }),
});

for await (const line of createInterface({ input: process.stdin })) {
  const turn = session.send(line);
  for await (const { text } of turn) process.stdout.write(text);
  const { report } = turn.result!;
  console.log(
    `\n(turn ${report.turn}: ${report.reused} tokens reused, ${report.prefilled} read, ${report.generated} written)`,
  );
}
