/** Imports a user's TypeScript or JavaScript file, so that plain `node` can run it. */
import { readFileSync } from "node:fs";
import { register as registerHooks } from "node:module";
import { extname } from "node:path";
import { setImmediate } from "node:timers/promises";
import { pathToFileURL } from "node:url";
import { formatProblem, userProblem, WeftError } from "@weft/dsl";
import { exitCodes, ScriptError } from "../terminal/failure.ts";
import { endsAtOnce } from "../terminal/interrupt.ts";

export const moduleExtensions = [".ts", ".mts", ".tsx", ".js", ".mjs"];

/**
 * Two things that a file outside any package would otherwise trip over. `@weft/*` is always the copy that this command
 * runs on: a block made by another copy would not be known as one. And a file with imports is a module, whatever the
 * nearest package.json says.
 */
const hooks = `
const own = ${JSON.stringify(import.meta.url)};
let entry = "";
export function initialize(data) { entry = data.entry; }
export async function resolve(specifier, context, next) {
  const found = await next(specifier, specifier.startsWith("@weft/") ? { ...context, parentURL: own } : context);
  const file = found.url.split("?")[0];
  const module = file === entry || (/\\.tsx?$/.test(file) && !file.includes("/node_modules/"));
  return found.format === "commonjs" && module ? { ...found, format: "module" } : found;
}`;

/**
 * The exports of a file. Ctrl-C ends the process, whatever the file does.
 * @throws ScriptError around whatever the file throws, WeftError for one that waits for what never comes
 */
export async function loadModule(file: string): Promise<Readonly<Record<string, unknown>>> {
  using _ = endsAtOnce();
  // Namespaced loading (`tsImport`) would give the file a copy of the library of its own.
  const { register } = await import("tsx/esm/api");
  const unregister = register();
  const url = pathToFileURL(file).href;
  const entry = isModuleText(file) ? url : "";
  registerHooks(`data:text/javascript,${encodeURIComponent(hooks)}`, { data: { entry } });
  const watch = watchLoading(file);
  try {
    return await Promise.race([importOf(file, url), watch.failed]);
  } finally {
    watch.end();
    await unregister();
    // tsx has just switched them off. Blocks and errors name lines when they are asked, long after loading, and mean
    // lines of the user's file, not of what it was compiled to.
    process.setSourceMapsEnabled(true);
  }
}

async function importOf(file: string, url: string): Promise<Readonly<Record<string, unknown>>> {
  try {
    const exports = await import(url);
    // A promise that was rejected and that nobody waits for is told at the end of this turn.
    await setImmediate();
    return exports;
  } catch (error) {
    throw new ScriptError(file, error);
  }
}

interface Watch {
  /** Rejects with what the file throws outside of its own turn, and when nothing is left that it could be waiting for. */
  readonly failed: Promise<never>;
  readonly end: () => void;
}

/** A file that ends the process, or never comes to its end, would end the command as if all were well. */
function watchLoading(file: string): Watch {
  const problem = (requirement: string, given: string, remedy: string) =>
    userProblem("TARGET", requirement, { given, location: file, remedy });
  const { promise: failed, reject } = deferred();
  const onExit = (code: number) => {
    const told = problem(
      "the file must not end the process while it is loaded",
      `exit code ${code}`,
      "export the block, and leave process.exit out",
    );
    process.exitCode = exitCodes.usage;
    process.stderr.write(`${formatProblem(told)}\n`);
  };
  const onEmpty = () =>
    reject(
      new WeftError([
        problem(
          "the file must come to its end when it is loaded",
          "an await of something that never happens",
          "look at the awaits outside of functions",
        ),
      ]),
    );
  const onThrown = (error: unknown) => reject(new ScriptError(file, error));
  process.once("exit", onExit);
  process.once("beforeExit", onEmpty);
  process.on("uncaughtException", onThrown);
  const end = () => {
    process.off("exit", onExit);
    process.off("beforeExit", onEmpty);
    process.off("uncaughtException", onThrown);
  };
  return { failed, end };
}

function deferred(): { readonly promise: Promise<never>; readonly reject: (error: Error) => void } {
  let reject = (_: Error) => {};
  const promise = new Promise<never>((_, rejected) => {
    reject = rejected;
  });
  return { promise, reject };
}

function isModuleText(file: string): boolean {
  return extname(file) !== ".cjs" && /^\s*(import|export)\b/m.test(readFileSync(file, "utf8"));
}
