export { type Anchor, CachedText } from "./cached-text.ts";
export type { SendOptions, SessionOptions, TurnOptions } from "./options.ts";
export { Session } from "./session.ts";
export { Turn, type TurnReport, type TurnResult } from "./turn.ts";
