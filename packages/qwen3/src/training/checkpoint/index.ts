export { type ExportedModel, type ExportOptions, exportHuggingFace, filesBeside } from "./export.ts";
export { type FoundCheckpoint, type Latest, latestCheckpoint, openTrainingCheckpoint } from "./find.ts";
export { restoreCheckpoint } from "./load.ts";
export type { Manifest, RunIdentity, TrainerState } from "./manifest.ts";
export { checkpointName } from "./names.ts";
export { type SaveOptions, saveCheckpoint } from "./save.ts";
