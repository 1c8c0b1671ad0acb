/**
 * Limits that several files use, by subject. A limit of one file stands in that file. Import these only from here. Sizes
 * are in bytes and times in milliseconds, unless the name says otherwise.
 */
export * from "./assignment.js";
export * from "./callout.js";
export * from "./experiment.js";
export * from "./gateway.js";
export * from "./identity.js";
export * from "./ingest.js";
export * from "./predictor.js";
export * from "./resource.js";
export * from "./server.js";
export * from "./state.js";
export * from "./token.js";
export * from "./xds.js";
