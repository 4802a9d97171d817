import { Argument, Command } from "commander";
import { jsonOption } from "./options.ts";

export const cacheActions = ["status", "clear"] as const;
export type CacheAction = (typeof cacheActions)[number];

export interface CacheOptions {
  readonly json?: boolean;
}

const examples = `
Everything in the cache can be made again. WEFT_CACHE_DIR names its folder; empty, nothing is kept.

Examples:
  $ weft cache status
  $ weft cache clear --json`;

export function cacheCommand(): Command {
  return new Command("cache")
    .description("compiled plans and kernels that are kept between runs")
    .addArgument(new Argument("<ACTION>", "what to do").choices(cacheActions))
    .addOption(jsonOption("folders, entries and bytes"))
    .addHelpText("after", examples)
    .action(async (action: CacheAction, options: CacheOptions) => {
      const { cache } = await import("../actions/cache.ts");
      await cache(action, options);
    });
}
