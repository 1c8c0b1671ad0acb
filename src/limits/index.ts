/**
 * Every bound of Weir, each with its reason, by what it bounds: this is the one door to all of them. A room that needs a
 * new bound adds it to the file of its noun. Sizes are in bytes, times in milliseconds, unless the name says otherwise.
 */
export * from "./assignment.js";
export * from "./callout.js";
export * from "./door.js";
export * from "./experiment.js";
export * from "./gateway.js";
export * from "./identity.js";
export * from "./ingest.js";
export * from "./predictor.js";
export * from "./resource.js";
export * from "./state.js";
export * from "./telemetry.js";
export * from "./token.js";
export * from "./xds.js";
