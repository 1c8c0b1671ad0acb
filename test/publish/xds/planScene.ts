/** A real Envoy that gets its resources from an xDS server, and functions to publish to it. */
import { join } from "node:path";
import type { Test } from "tap";
import { compile, compileForms, NO_COLLECTORS } from "../../../src/compile/compile.js";
import { dynamicBootstrap } from "../../../src/compile/envoy/bootstrap.js";
import type { KeySets } from "../../../src/compile/envoy/keySet.js";
import type { EnvoyResources } from "../../../src/compile/plan/compiledPlan.js";
import { EMPTY_STATUS } from "../../../src/decide/rollout/status.js";
import type { ResourceSet } from "../../../src/declare/resources/resource.js";
import { XdsServer } from "../../../src/publish/xds/server.js";
import { temporaryDirectory } from "../../cli/command.js";
import { type RunningEnvoy, startEnvoy } from "../../envoy/harness.js";

/** Changes it so that Envoy refuses it. */
type Spoil = (envoy: EnvoyResources) => EnvoyResources;

export interface PlanScene {
	readonly envoy: RunningEnvoy;
	readonly server: () => XdsServer;
	/** @returns when Envoy has taken all of it */
	publish(resources: ResourceSet, keySets?: KeySets, spoil?: Spoil): Promise<void>;
	/** The number of listeners that Envoy has created. */
	listenersMade(): Promise<number>;
}

export async function planScene(t: Test, first: ResourceSet, firstKeySets: KeySets = {}): Promise<PlanScene> {
	const socketPath = join(await temporaryDirectory(t), "ads.sock");
	const server = new XdsServer();
	t.teardown(() => server.close());
	await server.listen({ socketPath });
	let revision = 0;
	const publish = async (
		resources: ResourceSet,
		keySets: KeySets = {},
		spoil: Spoil = (envoy) => envoy,
	): Promise<void> => {
		const wanted = ++revision;
		const done = new Promise<void>((resolve) => server.onAcknowledged((one) => one === wanted && resolve()));
		const made = (closed: ReadonlySet<string>) =>
			compile(resources, EMPTY_STATUS, {
				...{ collectors: NO_COLLECTORS, sidecar: "always", installation: "one", keySets, closed },
			});
		const closable = {
			forms: () => compileForms(resources, EMPTY_STATUS),
			close: (closed: ReadonlySet<string>) => made(closed).envoy,
		};
		const plan = made(new Set());
		server.publish({ ...plan, envoy: spoil(plan.envoy), closable }, wanted);
		await done;
	};
	const started = publish(first, firstKeySets);
	const options = { collectors: NO_COLLECTORS, nodeId: "envoy-1", sidecarSocket: "/unused" };
	const envoy = await startEnvoy(t, (adminSocket) => dynamicBootstrap(socketPath, { ...options, adminSocket }));
	await started;
	const listenersMade = async () =>
		(await envoy.stat("listener_manager.listener_modified")) + (await envoy.stat("listener_manager.listener_added"));
	return { envoy, server: () => server, publish, listenersMade };
}
