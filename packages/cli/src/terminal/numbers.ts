/** Nine digits name every f32 exactly; JSON has no word for what is not finite. */
export function spellNumber(value: number): string {
  return Number.isFinite(value) ? String(Number(value.toPrecision(9))) : "null";
}
