/** Which toolkit's images a driver loads: those of its own major version and of earlier ones, whatever the minor. */

/** A driver's version as CUDA's versions are written: 12040 is "12.4". */
export const driverVersionText = (driverVersion: number): string =>
  `${driverMajor(driverVersion)}.${Math.floor((driverVersion % 1000) / 10)}`;

/** The latest major version of a toolkit whose images the driver loads. */
export const driverMajor = (driverVersion: number): number => Math.floor(driverVersion / 1000);

/** @param toolkitVersion "13.0" */
export const loadsImagesOf = (driverVersion: number, toolkitVersion: string): boolean =>
  Number.parseInt(toolkitVersion, 10) <= driverMajor(driverVersion);
