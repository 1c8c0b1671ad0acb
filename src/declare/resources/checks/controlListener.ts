/** Refuses control's listeners as endpoints: Envoy would forward unauthenticated clients with its own identity. */

import type { Positions } from "../position.js";
import type { Problem, Service } from "../resource.js";
import { serverKey } from "./serverOwner.js";

export interface ControlListener {
	/** IP address; the unspecified one is not resolved here: name each address that it stands for. */
	readonly address: string;
	readonly port: number;
	/** As a message ends: `control's API`. */
	readonly what: string;
}

/** Endpoints of these Services that are such a listener. DNS names are not resolved (serverOwner.ts). */
export function controlListenerProblems(
	services: readonly Service[],
	listeners: readonly ControlListener[],
	positions: Positions,
): readonly Problem[] {
	const known = new Map(listeners.map(({ address, port, what }) => [serverKey(address, port), what]));
	return services.flatMap((service) =>
		service.spec.variants.flatMap(({ endpoints }, index) =>
			endpoints.flatMap(({ address, port }, at): readonly Problem[] => {
				const what = known.get(serverKey(address, port));
				if (what === undefined) return [];
				return [
					{
						position: positions.at(service, ["spec", "variants", index, "endpoints", at]),
						message: `endpoint ${address}:${port} is ${what}`,
						hint: "name your own servers: control is not reachable through Envoy",
					},
				];
			}),
		),
	);
}
