/** Control: one Store, and around it the public API, the publisher and the rollout loop. */
import { join } from "node:path";
import { unansweredTables, unansweredTableText } from "../../decide/rollout/unansweredTables.js";
import type { ControlListener } from "../../declare/resources/checks/controlListener.js";
import { within } from "../../limits/within.js";
import { auditRefusal } from "../../operate/audit/refusal.js";
import { Store } from "../../operate/state/store/store.js";
import { logWhile } from "../stack/logWhile.js";
import { controlListeners, startPublicApi } from "./api.js";
import { Publisher } from "./publisher.js";
import type { RoleContext, RunningRole } from "./role.js";
import { startRollout } from "./rollout.js";

/** How long a start waits for the first publication. */
const FIRST_PUBLICATION_MS = 10_000;

export async function startControlRole(context: RoleContext): Promise<RunningRole> {
	const { at, log, allowLocalGates = false } = context;
	let listeners: readonly ControlListener[] = [];
	const store = new Store(join(at.dataDirectory, "state"), { controlListeners: () => listeners, allowLocalGates });
	const publisher = await Publisher.start(context, store, (refused) => auditRefusal(store, refused));
	const api = await startPublicApi(context, store, publisher);
	listeners = controlListeners(context, api.url);
	await within(FIRST_PUBLICATION_MS, publisher.first);
	const stopRollout = startRollout(context, store);
	const stopLogging = [
		logWhile(log, () => publisher.lag(), "changes are not published", "changes are published again"),
		logWhile(
			log,
			() => unansweredTables(store.proxies.proxies, Date.now()).map(unansweredTableText).join("; ") || null,
			"sidecars do not accept changes",
			"sidecars accept changes again",
		),
	];
	return {
		ready: { api: api.url, ...(publisher.tcp === null ? {} : { xds: publisher.tcp }) },
		renewApi: (tls) => api.renew(tls),
		close: async () => {
			for (const stop of stopLogging) stop();
			await stopRollout();
			await publisher.close();
			await api.close();
			await store.close();
		},
	};
}
