/**
 * A name as part of a line of text: what would break the line, move the cursor or turn the direction of writing is
 * written as JSON and JavaScript escape it. All else stays, so a name without such characters is itself.
 * @example oneLine("a\nb"); // "a\\nb"
 */
export function oneLine(name: string): string {
  return name.replace(/\p{Cc}|[\u2028\u2029\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu, (character) => {
    const escaped = JSON.stringify(character).slice(1, -1);
    return escaped === character ? `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}` : escaped;
  });
}
