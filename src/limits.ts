/**
 * Every bound of Weir, each with its reason, by what it bounds: this is the one door to all of them. A room that needs a
 * new bound adds it to the file of its noun. Sizes are in bytes, times in milliseconds, unless the name says otherwise.
 */
export * from "./limits/assignment.js";
export * from "./limits/callout.js";
export * from "./limits/door.js";
export * from "./limits/experiment.js";
export * from "./limits/gateway.js";
export * from "./limits/identity.js";
export * from "./limits/ingest.js";
export * from "./limits/predictor.js";
export * from "./limits/resource.js";
export * from "./limits/state.js";
export * from "./limits/telemetry.js";
export * from "./limits/token.js";
export * from "./limits/xds.js";
