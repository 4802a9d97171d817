export * from "./config/index.ts";
export * from "./inference/index.ts";
export * from "./model/index.ts";
export * from "./sampling/index.ts";
export * from "./session/index.ts";
export * from "./text/index.ts";
export * from "./training/index.ts";
export * from "./weights/index.ts";
