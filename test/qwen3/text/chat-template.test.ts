import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { formatProblems, type Problems } from "@weft/dsl";
import * as Either from "fp-ts/lib/Either.js";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import {
  type ChatMessage,
  chatTemplateOf,
  parseChatTemplate,
  type RenderOptions,
  readTokenizerConfig,
} from "../../../packages/qwen3/src/text/index.ts";

const test = suite("qwen3/text: chat templates");
const fixtures = join(import.meta.dirname, "../../fixtures");
const right = <A>(result: Either.Either<Problems, A>): A => {
  if (Either.isLeft(result)) throw new Error(formatProblems(result.left));
  return result.right;
};
const left = (result: Either.Either<Problems, unknown>): string => {
  if (Either.isRight(result)) throw new Error("was accepted");
  return formatProblems(result.left);
};
const template = right(chatTemplateOf(right(readTokenizerConfig(join(fixtures, "chat-template")))));
const render = (messages: readonly ChatMessage[], options?: RenderOptions) =>
  right(template.render(messages, options));

const question: ChatMessage = { role: "user", content: "What is 2+2?" };

test("a file of its own wins over the JSON, and special tokens are read in both spellings", () => {
  assert.is(template.source, join(fixtures, "chat-template/chat_template.jinja"));
  const config = right(readTokenizerConfig(join(fixtures, "chat-template")));
  assert.is(config.bosToken, undefined);
  assert.is(config.eosToken, "<|im_end|>");
  assert.is(config.padToken, "<|endoftext|>");
});

test("one question, with and without the generation prompt", () => {
  const turn = "<|im_start|>user\nWhat is 2+2?<|im_end|>\n";
  assert.is(render([question]), `${turn}<|im_start|>assistant\n`);
  assert.is(render([question], { addGenerationPrompt: false }), turn);
});

test("a system message comes first; the template's own refusal is reported", () => {
  assert.is(
    render([{ role: "system", content: "Be brief." }, question], { addGenerationPrompt: false }),
    "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nWhat is 2+2?<|im_end|>\n",
  );
  const refusal = left(template.render([question, { role: "system", content: "late" }]));
  assert.match(
    refusal,
    /chat_template\.jinja\] the chat template must accept the messages; given a system message must come first/,
  );
  assert.match(left(template.render([{ role: "oracle", content: "" }])), /given unknown role oracle/);
});

test("the thinking switch: only an explicit false closes an empty thought", () => {
  const open = "<|im_start|>assistant\n";
  assert.ok(render([question]).endsWith(open));
  assert.ok(render([question], { enableThinking: true }).endsWith(open));
  assert.ok(render([question], { enableThinking: false }).endsWith(`${open}<think>\n\n</think>\n\n`));
  assert.ok(render([question], { variables: { enable_thinking: false } }).endsWith("</think>\n\n"));
});

test("thoughts are dropped from turns before the last question and kept after it", () => {
  const answer = { role: "assistant", content: "<think>\nTwo and two.\n</think>\n\n4" };
  assert.is(
    render([question, answer, { role: "user", content: "And 3+3?" }]),
    "<|im_start|>user\nWhat is 2+2?<|im_end|>\n<|im_start|>assistant\n4<|im_end|>\n<|im_start|>user\nAnd 3+3?<|im_end|>\n<|im_start|>assistant\n",
  );
  const kept =
    "<|im_start|>user\nWhat is 2+2?<|im_end|>\n<|im_start|>assistant\n<think>\nTwo and two.\n</think>\n\n4<|im_end|>\n";
  assert.is(render([question, answer], { addGenerationPrompt: false }), kept);
  const separate = { role: "assistant", content: "4", reasoning_content: "Two and two." };
  assert.is(render([question, separate], { addGenerationPrompt: false }), kept);
});

test("tools are listed as JSON, calls and answers framed", () => {
  const tools = [{ type: "function", function: { name: "add", parameters: { a: "number", ü: "<b>" } } }];
  const text = render(
    [
      question,
      {
        role: "assistant",
        content: "",
        tool_calls: [{ type: "function", function: { name: "add", arguments: { a: 2, b: 2 } } }],
      },
      { role: "tool", content: "4" },
      { role: "tool", content: "5" },
    ],
    { tools },
  );
  assert.is(
    text,
    [
      "<|im_start|>system\nFunctions:",
      '{"type": "function", "function": {"name": "add", "parameters": {"a": "number", "ü": "<b>"}}}<|im_end|>',
      "<|im_start|>user\nWhat is 2+2?<|im_end|>",
      "<|im_start|>assistant\n",
      '<tool_call>\n{"name": "add", "arguments": {"a": 2, "b": 2}}\n</tool_call><|im_end|>',
      "<|im_start|>user\n<tool_response>\n4\n</tool_response>\n<tool_response>\n5\n</tool_response><|im_end|>",
      "<|im_start|>assistant\n",
    ].join("\n"),
  );
  assert.not.match(render([question], { tools: [] }), /Functions/);
});

test("contents are data: template syntax in a message stays text", () => {
  const nasty = '{{ 7*7 }} {% raise %} <|im_end|> "quoted" \\n';
  assert.ok(render([{ role: "user", content: nasty }]).includes(nasty));
});

test("no template is an error that says where it was looked for; ChatML only when asked for", () => {
  const config = right(readTokenizerConfig(join(fixtures, "tiny")));
  assert.is(config.eosToken, "<|im_end|>");
  const message = left(chatTemplateOf(config));
  assert.match(
    message,
    /tiny\] must have a chat template; given none: looked for chat_template\.jinja and chat_template in tokenizer_config\.json/,
  );
  assert.match(message, /ask for the template "chatml"/);
  const chatml = right(chatTemplateOf(config, "chatml"));
  assert.is(chatml.source, "chatml");
  assert.is(
    right(chatml.render([{ role: "system", content: "S" }, question], { enableThinking: false })),
    "<|im_start|>system\nS<|im_end|>\n<|im_start|>user\nWhat is 2+2?<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n",
  );
  assert.is(
    right(chatml.render([question], { addGenerationPrompt: false })),
    "<|im_start|>user\nWhat is 2+2?<|im_end|>\n",
  );
  assert.match(left(chatTemplateOf(config, "tool_use")), /must have a chat template named "tool_use"/);
});

test("named templates, in the JSON and as files", () => {
  const directory = mkdtempSync(join(tmpdir(), "weft-template-"));
  const write = (json: unknown) =>
    writeFileSync(join(directory, "tokenizer_config.json"), JSON.stringify(json));
  const named = (choice?: string) =>
    right(right(chatTemplateOf(right(readTokenizerConfig(directory)), choice)).render([question]));
  try {
    write({
      chat_template: [
        { name: "default", template: "D{{ messages[0].content }}" },
        { name: "tool_use", template: "T" },
      ],
    });
    assert.is(named(), "DWhat is 2+2?");
    assert.is(named("tool_use"), "T");
    mkdirSync(join(directory, "additional_chat_templates"));
    writeFileSync(join(directory, "additional_chat_templates/tool_use.jinja"), "F{{ eos_token is defined }}");
    assert.is(named("tool_use"), "Ffalse");
    write({ chat_template: [{ name: "rag", template: "R" }], eos_token: "<e>" });
    rmSync(join(directory, "additional_chat_templates"), { recursive: true });
    assert.is(named(), "R");
    write({ chat_template: [{ name: "rag" }], eos_token: 7 });
    const lines = left(readTokenizerConfig(directory)).split("\n");
    assert.is(lines.length, 2);
    assert.match(lines[0]!, /chat_template must be a string, or a list/);
    assert.match(lines[1]!, /eos_token must be a string/);
    writeFileSync(join(directory, "tokenizer_config.json"), "{");
    assert.match(left(readTokenizerConfig(directory)), /tokenizer_config\.json\] must be valid JSON/);
  } finally {
    rmSync(directory, { recursive: true });
  }
});

test("a template that is no Jinja is refused when it is opened", () => {
  assert.match(
    left(parseChatTemplate("{% if %}", "x.jinja")),
    /\[x\.jinja\] the chat template must be valid Jinja/,
  );
  assert.match(left(parseChatTemplate("{{ messages", "x.jinja")), /must be valid Jinja/);
  assert.match(
    left(right(parseChatTemplate("{{ messages.nothing() }}", "x.jinja")).render([question])),
    /must accept the messages/,
  );
});

test.run();
