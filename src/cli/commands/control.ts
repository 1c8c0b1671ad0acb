/** `weir control`: runs roles of control. One process a role keeps ingest load away from decisions and pushes. */
import { WeirError } from "../../error.js";
import { createLog } from "../../telemetry/log.js";
import { createMeter } from "../../telemetry/meter.js";
import type { RoleContext, RunningRole } from "../roles/role.js";
import { serveUntilStopped } from "../stack/child.js";
import { places } from "../stack/places.js";

export interface ControlArguments {
	readonly roles: string;
	readonly data: string;
	readonly run?: string;
	readonly apiAddress: string;
	readonly apiPort: string;
	readonly traceSampling: string;
	/** NAME=PORT */
	readonly gatewayPort: readonly string[];
}

/** In the order of their start: a role finds those before it. A role's packages are loaded only where it runs. */
const ROLES: Readonly<Record<string, (context: RoleContext) => Promise<RunningRole>>> = {
	api: async (context) => (await import("../roles/api.js")).startApiRole(context),
	ingest: async (context) => (await import("../roles/ingest.js")).startIngestRole(context),
	xds: async (context) => (await import("../roles/xds.js")).startXdsRole(context),
	rollout: async (context) => (await import("../roles/rollout.js")).startRolloutRole(context),
};

export async function control(options: ControlArguments): Promise<void> {
	const names = options.roles.split(",").map((name) => name.trim());
	const unknown = names.find((name) => ROLES[name] === undefined);
	if (unknown !== undefined) {
		throw new WeirError("invalid-argument", `there is no role '${unknown}'`, `roles: ${Object.keys(ROLES).join(", ")}`);
	}
	const at = places(options.data, options.run);
	const role = names.join("+");
	const context: RoleContext = {
		at,
		log: createLog({ role }),
		meter: createMeter({ role }),
		traceSamplingPercent: percent(options.traceSampling),
		apiAddress: options.apiAddress,
		apiPort: port(options.apiPort),
		gatewayPorts: new Map(
			options.gatewayPort.map((pair) => {
				const at = pair.lastIndexOf("=");
				return [pair.slice(0, at), port(pair.slice(at + 1))];
			}),
		),
	};
	const running: RunningRole[] = [];
	for (const [name, start] of Object.entries(ROLES)) {
		if (names.includes(name)) running.push(await start(context));
	}
	serveUntilStopped(Object.assign({}, ...running.map(({ ready }) => ready)), async () => {
		for (const one of running.reverse()) await one.close();
	});
}

export function port(text: string): number {
	const value = Number(text);
	if (!Number.isInteger(value) || value < 0 || value > 65_535) {
		throw new WeirError("invalid-argument", `'${text}' is no port`, "0 to 65535; 0 = any free one");
	}
	return value;
}

export function percent(text: string): number {
	const value = Number(text.replace(/%$/, ""));
	if (!(value >= 0 && value <= 100)) throw new WeirError("invalid-argument", `'${text}' is no percentage`, "0 to 100");
	return value;
}
