/**
 * The nodes of a graph by their blocks. Equal layers beside each other are one entry until one of them is opened, and a
 * block with more entries than anyone can look at is cut into parts: so what is open is small however large the graph is.
 */
import { addedNode, changedNode } from "../src/format/types.ts";
import type { GraphNode, Stage } from "./model.ts";

export interface Scope {
  /** The path; of a part of a large block with the place of its first entry. */
  readonly key: string;
  readonly name: string;
  readonly isPart: boolean;
  readonly entries: readonly Entry[];
  readonly counts: Counts;
  /** Equal for blocks that look the same but for the number of a layer. */
  readonly signature: string;
}

export interface Counts {
  nodes: number;
  added: number;
  changed: number;
  gone: number;
}

export type Entry =
  | { readonly kind: "node"; readonly node: GraphNode; readonly isGone: boolean }
  /** `turns` is more than one where equal layers are folded; `scope` is the first of them. */
  | { readonly kind: "scope"; readonly scope: Scope; readonly turns: readonly Scope[] };

/** More entries than this are cut into parts of as many. */
const mostEntries = 120;

interface Growing {
  readonly path: string;
  readonly name: string;
  readonly children: Map<string, Growing>;
  /** Places in the order of the graph, with what stands there. */
  readonly own: { readonly order: number; readonly item: Growing | GraphNode; readonly isGone: boolean }[];
}

export function treeOf(stage: Stage): Scope {
  const root: Growing = { path: "", name: "", children: new Map(), own: [] };
  const add = (node: GraphNode, order: number, isGone: boolean) => {
    growingAt(root, node.path, order).own.push({ order, item: node, isGone });
  };
  for (const node of stage.nodes) add(node, node.id, false);
  // What is gone stands where it would be: behind the last node before it that is still there.
  const gone = new Set(stage.gone.map(({ id }) => id));
  let last = -1;
  for (const node of gone.size === 0 ? [] : stage.previous!.nodes) {
    if (gone.has(node.id)) add(node, last + 0.5, true);
    else last = stage.next.get(node.id)!;
  }
  return finish(root);
}

function growingAt(root: Growing, path: string, order: number): Growing {
  let at = root;
  if (path === "") return at;
  const names = path.split(".");
  for (const name of [...names.slice(0, deepest), ...rest(names)]) {
    let child = at.children.get(name);
    if (child === undefined) {
      child = { path: at.path === "" ? name : `${at.path}.${name}`, name, children: new Map(), own: [] };
      at.children.set(name, child);
      at.own.push({ order, item: child, isGone: false });
    }
    at = child;
  }
  return at;
}

/** Deeper paths than anyone opens stay in one name, so that no path can exhaust the stack. */
const deepest = 24;
const rest = (names: readonly string[]) => (names.length <= deepest ? [] : [names.slice(deepest).join(".")]);

function finish(growing: Growing): Scope {
  const entries = growing.own
    .toSorted((a, b) => a.order - b.order)
    .map(({ item, isGone }): Entry => {
      if ("op" in item) return { kind: "node", node: item, isGone };
      const scope = finish(item);
      return { kind: "scope", scope, turns: [scope] };
    });
  return scopeOf(growing.path, growing.name, entries, false);
}

function scopeOf(key: string, name: string, entries: readonly Entry[], isPart: boolean): Scope {
  const counts: Counts = { nodes: 0, added: 0, changed: 0, gone: 0 };
  const parts: string[] = [];
  for (const entry of entries) {
    if (entry.kind === "node") {
      const { state, op, type } = entry.node;
      if (entry.isGone) counts.gone++;
      else {
        counts.nodes++;
        if (state === addedNode) counts.added++;
        if (state === changedNode) counts.changed++;
      }
      parts.push(`${op}:${type}:${entry.isGone ? "gone" : state}`);
    } else {
      const { counts: inner, signature, name: child } = entry.scope;
      counts.nodes += inner.nodes;
      counts.added += inner.added;
      counts.changed += inner.changed;
      counts.gone += inner.gone;
      parts.push(`${/^\d+$/.test(child) ? "*" : child}(${signature})`);
    }
  }
  const whole = { key, name, isPart, counts, signature: hash(parts.join(",")) };
  return { ...whole, entries: entries.length > mostEntries ? cut(key, entries) : entries };
}

/** The entries of a large block in parts; its layers stay together, because equal ones fold. */
function cut(key: string, entries: readonly Entry[]): readonly Entry[] {
  if (entries.filter((one) => one.kind === "node").length <= mostEntries) return entries;
  const size = Math.max(mostEntries, Math.ceil(entries.length / mostEntries));
  const parts: Entry[] = [];
  for (let first = 0; first < entries.length; first += size) {
    const own = entries.slice(first, first + size);
    const scope = scopeOf(`${key}#${first}`, `entries ${first} to ${first + own.length - 1}`, own, true);
    parts.push({ kind: "scope", scope, turns: [scope] });
  }
  return parts;
}

/** FNV-1a in two lanes: signatures of large blocks stay short. */
function hash(text: string): string {
  let [a, b] = [0x811c9dc5, 0x1000193];
  for (let i = 0; i < text.length; i++) {
    a = Math.imul(a ^ text.charCodeAt(i), 0x01000193);
    b = Math.imul(b ^ text.charCodeAt(i), 0x85ebca6b) + a;
  }
  return `${(a >>> 0).toString(36)}.${(b >>> 0).toString(36)}.${text.length}`;
}

/** The entries as they are shown: equal layers beside each other as one, but for those that are open. */
export function folded(entries: readonly Entry[], isOpen: (key: string) => boolean): readonly Entry[] {
  const shown: Entry[] = [];
  let turns: Scope[] = [];
  for (const entry of entries) {
    const before = turns.at(-1);
    if (entry.kind === "node") turns = [];
    else if (before !== undefined && isNextTurn(before, entry.scope, isOpen)) {
      turns.push(entry.scope);
      continue;
    } else turns = [...entry.turns];
    shown.push(entry.kind === "node" ? entry : { ...entry, turns });
  }
  return shown;
}

function isNextTurn(before: Scope, scope: Scope, isOpen: (key: string) => boolean): boolean {
  return (
    /^\d+$/.test(scope.name) &&
    Number(before.name) + 1 === Number(scope.name) &&
    before.signature === scope.signature &&
    !isOpen(before.key) &&
    !isOpen(scope.key)
  );
}

export function entryName({ scope, turns }: Extract<Entry, { kind: "scope" }>): string {
  return turns.length === 1 ? scope.name : `${scope.name} to ${turns.at(-1)!.name}`;
}

/** The op, and of what has a name the end of that. */
export function nodeName({ op, attributes }: GraphNode): string {
  const name = /"(?:name|state)":"((?:[^"\\]|\\.)*)"/.exec(attributes)?.[1];
  return name === undefined ? op : `${op} ${name.split(".").slice(-2).join(".")}`;
}

export function nodeCount({ counts: { nodes } }: Scope): string {
  return nodes === 1 ? "1 node" : `${nodes} nodes`;
}

/** The keys of all scopes around a node, parts of large blocks included, from the outermost. */
export function keysAround(root: Scope, path: string, isWanted: (node: GraphNode) => boolean): string[] {
  const search = (scope: Scope): string[] | undefined => {
    for (const entry of scope.entries) {
      if (entry.kind === "node") {
        if (isWanted(entry.node)) return [];
      } else if (entry.scope.isPart || path === entry.scope.key || path.startsWith(`${entry.scope.key}.`)) {
        const inner = search(entry.scope);
        if (inner !== undefined) return [entry.scope.key, ...inner];
      }
    }
    return undefined;
  };
  return search(root) ?? [];
}

/** Every node within, those that are gone left out. */
export function* nodesWithin(scope: Scope): Generator<GraphNode> {
  for (const entry of scope.entries) {
    if (entry.kind === "scope") yield* nodesWithin(entry.scope);
    else if (!entry.isGone) yield entry.node;
  }
}
