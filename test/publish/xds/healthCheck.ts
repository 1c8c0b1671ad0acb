import type { Service } from "../../../src/declare/resources/resource.js";

export const HEALTH: NonNullable<Service["spec"]["healthCheck"]> = {
	path: "/healthy",
	intervalMs: 1_000,
	timeoutMs: 1_000,
	healthyThreshold: 1,
	unhealthyThreshold: 2,
};
