/** The generated C++ reader: what it reads it writes back unchanged, and it knows every form that plan types may take. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { hashPlan } from "@weft/compiler";
import { orThrow } from "@weft/dsl";
import { compileQwen3 } from "@weft/qwen3";
import { loadPlan, planHash } from "@weft/runtime";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { addon } from "../../packages/runtime-cpu/src/addon.ts";
import { planHeader, snakeCase } from "../../scripts/generate/plan-header.ts";
import { configOf } from "../support/qwen3-config.ts";
import { qkvPlan } from "./plans.ts";

const test = suite("plan header");

const byHand = qkvPlan({
  dtype: "bf16",
  hidden: 16,
  heads: 4,
  kvHeads: 2,
  headDim: 8,
  capacity: 20,
  chunk: 6,
});
const shape = { hidden: 16, layers: 2, heads: 4, kvHeads: 2, headDim: 8, intermediate: 24, vocab: 20 };
const compiled = [true, false].map(
  (fusion) =>
    orThrow(
      compileQwen3(configOf(shape), {
        capacity: 12,
        chunk: 4,
        policy: "bf16",
        storage: () => "bf16",
        logits: "last",
        fusion,
      }),
    ).plan,
);

test("plans go to C++ and back unchanged", () => {
  for (const plan of [byHand, ...compiled])
    assert.equal(addon().echoPlan(plan), JSON.parse(JSON.stringify(plan)));
});

test("fields from the prototype, getters that throw, proxies: errors, no crash", () => {
  const read = (plan: unknown) => () => addon().echoPlan(plan);
  const message = (pattern: RegExp) => (error: Error) => pattern.test(error.message);
  assert.throws(read(undefined), message(/^plan: must be an object, got nothing$/));
  assert.throws(read([byHand]), message(/^plan: must be an object, got an array$/));
  const throwing = {
    ...byHand,
    get name(): string {
      throw new RangeError("from a getter");
    },
  };
  assert.throws(read(throwing), message(/from a getter/));
  const proxy = new Proxy(byHand, {
    get: (target, key) => (key === "kernels" ? "none" : Reflect.get(target, key)),
  });
  assert.throws(read(proxy), message(/^plan\.kernels: must be an array, got "none"$/));
  assert.throws(
    read({ ...byHand, symbols: new Array(2 ** 32 - 1) }),
    message(/^plan\.symbols\[0\]: must be an object/),
  );
});

/** The generated texts for other types. */
function generate(types: string): string {
  const root = mkdtempSync(join(tmpdir(), "weft-header-"));
  try {
    mkdirSync(join(root, "packages/compiler/src/plan"), { recursive: true });
    for (const [file, text] of Object.entries({ types, access: "", instructions: "" }))
      writeFileSync(join(root, `packages/compiler/src/plan/${file}.ts`), text);
    return [...planHeader(root).values()].join("\n");
  } finally {
    rmSync(root, { recursive: true });
  }
}

const version = "export const planVersion = 3;\nexport type Real = number;\n";

test("new interfaces and fields need no change of the generator", () => {
  const text = generate(`${version}
    /** What is new. */
    export interface Plan { shapes: Shape[]; matrix: number[][]; factor: Real; class: "a" | "b-c" }
    export type Shape = Circle | Square;
    export interface Circle { kind: "circle"; radius: Real }
    export interface Square { kind: "square"; side: number; isFilled: boolean; label: string }
  `);
  for (const line of [
    "inline constexpr int64_t plan_version = 3;",
    "// What is new.",
    "using Shape = std::variant<Circle, Square>;",
    "std::vector<std::vector<int64_t>> matrix{};",
    "double factor = 0;",
    "enum class PlanClass { a, b_c };",
    "PlanClass class_{};",
    "bool is_filled = false;",
    "case 1: read(value, at, out.emplace<1>()); break;  // Square",
  ])
    assert.ok(text.includes(line), line);
  assert.ok(text.indexOf("struct Circle") < text.indexOf("using Shape"));
  assert.is(snakeCase("kvHeads"), "kv_heads");
});

test("forms that C++ would read wrongly are refused when generating", () => {
  const refuses = (types: string, pattern: RegExp) =>
    assert.throws(
      () => generate(`${version}${types}`),
      (error: Error) => pattern.test(error.message),
    );
  refuses("export interface Plan { a?: number }", /Plan\.a is optional/);
  refuses("export interface Plan { a: Map<string, number> }", /no type Map/);
  refuses("export interface Plan { a: number | string }", /cannot express Plan\.a/);
  refuses("export interface Plan { a: Plan[] }", /Plan contains itself/);
  refuses(
    'export interface Plan { a: U }\nexport type U = A | B;\nexport interface A { x: number }\nexport interface B { kind: "b" }',
    /A in U needs a literal field "kind"/,
  );
});

test("a plan file: hash checked, edited plans refused, the compiler's hash", async () => {
  const plan = compiled[0]!;
  assert.is(planHash(plan), hashPlan(plan));
  assert.is(plan.hash, planHash(plan));
  const folder = mkdtempSync(join(tmpdir(), "weft-plan-"));
  const refusal = async (name: string, text: string): Promise<string> => {
    writeFileSync(join(folder, name), text);
    return loadPlan(join(folder, name)).then(
      () => "accepted",
      (error: Error) => error.message,
    );
  };
  try {
    const text = JSON.stringify(plan);
    assert.is(await refusal("good.json", text), "accepted");
    assert.equal(await loadPlan(join(folder, "good.json")), JSON.parse(text));
    assert.match(
      await refusal("edited.json", text.replace('"offset":256', '"offset":512')),
      /hash must match its content/,
    );
    assert.match(await refusal("cut.json", text.slice(0, 1000)), /the file must hold JSON.*cut\.json/);
    assert.match(await refusal("list.json", "[]"), /must hold one plan; given an array/);
    await loadPlan(join(folder, "edited.json"), { allowEdited: true });
    const missing = await loadPlan(join(folder, "none.json")).catch((error: Error) => error.message);
    assert.match(String(missing), /must be readable.*none\.json/);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test.run();
