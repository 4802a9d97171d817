export * from "./e2m1.ts";
export * from "./e4m3.ts";
export * from "./fp8.ts";
export * from "./nvfp4.ts";
export * from "./swizzled-scales.ts";
