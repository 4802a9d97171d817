export { differenceOfGraphs, differenceOfGraphTexts } from "./graphs.ts";
export { differenceOfPlans } from "./plans.ts";
export { type PrintDifferenceOptions, printGraphDifference, printPlanDifference } from "./print.ts";
export type * from "./types.ts";
