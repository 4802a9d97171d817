/** Imports a user's TypeScript or JavaScript file, so that plain `node` can run it. */
import { readFileSync } from "node:fs";
import { register as registerHooks } from "node:module";
import { extname } from "node:path";
import { pathToFileURL } from "node:url";
import { ScriptError } from "../terminal/failure.ts";

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
 * The exports of a file.
 * @throws ScriptError around whatever the file throws.
 */
export async function loadModule(file: string): Promise<Readonly<Record<string, unknown>>> {
  // Namespaced loading (`tsImport`) would give the file a copy of the library of its own.
  const { register } = await import("tsx/esm/api");
  const unregister = register();
  const url = pathToFileURL(file).href;
  const entry = isModuleText(file) ? url : "";
  registerHooks(`data:text/javascript,${encodeURIComponent(hooks)}`, { data: { entry } });
  try {
    return await import(url);
  } catch (error) {
    throw new ScriptError(file, error);
  } finally {
    await unregister();
    // tsx has just switched them off. Blocks and errors name lines when they are asked, long after loading, and mean
    // lines of the user's file, not of what it was compiled to.
    process.setSourceMapsEnabled(true);
  }
}

function isModuleText(file: string): boolean {
  return extname(file) !== ".cjs" && /^\s*(import|export)\b/m.test(readFileSync(file, "utf8"));
}
