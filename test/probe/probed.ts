/** The prober of an attacked Envoy, and requests that its policies allow. */
import { watchedListeners } from "../../src/access/bypass/watched.js";
import { localAdmin } from "../../src/probe/envoyPage.js";
import { type ProbeTarget, probe } from "../../src/probe/probe.js";
import { Prober, type ProberOptions } from "../../src/probe/prober.js";
import type { AttackScene } from "../attack/scene.js";
import { exchange, get } from "../attack/wire.js";

/** Every Gateway there. */
export const asking =
	(target: ProbeTarget): ProberOptions["ask"] =>
	() =>
	(host, guard) =>
		probe(target, host, guard);

export async function prober(scene: AttackScene): Promise<Prober> {
	const identity = await scene.tls.ca.issue({ spiffeId: "spiffe://weir.test/weir/control" });
	const target: ProbeTarget = {
		address: "127.0.0.1",
		port: scene.envoy.port(scene.plan.table.gateways[0]?.name),
		tls: () => ({
			ca: scene.tls.ca.certificate,
			cert: identity.certificate,
			key: identity.privateKey,
			servername: "gateway.test",
		}),
	};
	const listeners = watchedListeners(scene.plan.table);
	return new Prober({ listeners: () => listeners, ask: asking(target), admin: localAdmin(scene.adminSocket) });
}

export async function traffic(scene: AttackScene): Promise<readonly number[]> {
	const statuses: number[] = [];
	for (const host of ["guarded.test", "wide.test", "open.test"]) {
		statuses.push(...(await exchange(await scene.as("alice"), get(host, "/v2"))).statuses);
	}
	return statuses;
}
