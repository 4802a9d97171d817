export { execute, run } from "./main.ts";
export { exitCodes } from "./terminal/failure.ts";
