/** Names that a pattern means: `*` stands for any characters, dots included; everything else for itself. */

/** @example namePattern("model.layers.*.weight")("model.layers.0.mlp.up_proj.weight"); // true */
export function namePattern(pattern: string): (name: string) => boolean {
  const expression = new RegExp(`^${expressionOf(pattern)}$`);
  return (name) => expression.test(name);
}

/** As `namePattern`, for the whole of a path or for its end behind a dot: `q_proj` means that of every layer. */
export function pathPattern(pattern: string): (path: string) => boolean {
  const expression = new RegExp(`^(?:.*\\.)?${expressionOf(pattern)}$`);
  return (path) => expression.test(path);
}

function expressionOf(pattern: string): string {
  return pattern
    .split("*")
    .map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"))
    .join(".*");
}
