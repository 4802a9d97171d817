/** fast-check as the tests use it: a property that fails says why, not only for which values (uvu prints no cause). */
import fc from "fast-check";

fc.configureGlobal({ ...fc.readConfigureGlobal(), includeErrorInReport: true });

export default fc;
