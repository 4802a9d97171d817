/**
 * fast-check as the tests use it: a property that fails says why, not only for which values (uvu prints no cause), and
 * every run looks at the same values, so that a change is judged by itself. WEFT_SEED=1, 2, ... looks at others.
 */
import fc from "fast-check";

fc.configureGlobal({
  ...fc.readConfigureGlobal(),
  includeErrorInReport: true,
  seed: Number(process.env.WEFT_SEED ?? 0),
});

export default fc;
