/** A headless Chromium, where the machine has one. */
import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";
import { type Browser, chromium, type Page } from "playwright-core";

const names = ["chromium", "chromium-browser", "google-chrome"];

/** WEFT_CHROMIUM names one; else the first on the path. */
export function findChromium(): string | undefined {
  const named = process.env.WEFT_CHROMIUM;
  if (named !== undefined && named !== "") return named;
  const folders = (process.env.PATH ?? "").split(delimiter);
  return folders
    .flatMap((folder) => names.map((name) => join(folder, name)))
    .find((file) => existsSync(file));
}

// Without a sandbox, because a build machine runs as root; it opens nothing but pages of ours.
export const openChromium = (file: string): Promise<Browser> =>
  chromium.launch({ executablePath: file, args: ["--no-sandbox", "--disable-gpu"] });

export interface OpenedPage {
  readonly page: Page;
  /** Errors and warnings of the console, whatever was thrown, dialogs, and every request but for the file itself. */
  readonly complaints: readonly string[];
}

/** Opens a file and notes everything that it should not do. */
export async function openFile(
  browser: Browser,
  file: string,
  colorScheme: "light" | "dark" = "light",
): Promise<OpenedPage> {
  const page = await browser.newPage({ viewport: { width: 1280, height: 800 }, colorScheme });
  page.setDefaultTimeout(20_000);
  const complaints: string[] = [];
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) complaints.push(message.text());
  });
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on("dialog", (dialog) => {
    complaints.push(`dialog: ${dialog.message()}`);
    void dialog.dismiss();
  });
  page.on("request", (request) => {
    if (request.url() !== `file://${file}`) complaints.push(`request: ${request.url()}`);
  });
  await page.goto(`file://${file}`);
  await page.waitForSelector("html[data-ready]");
  return { page, complaints };
}
