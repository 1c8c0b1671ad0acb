/** Control: one Store, and around it the public API, the publisher and the rollout loop. */
import { join } from "node:path";
import { unansweredTables, unansweredTableText } from "../../decide/rollout/unansweredTables.js";
import type { ControlListener } from "../../declare/resources/checks/controlListener.js";
import { within } from "../../limits/within.js";
import { auditRefusal } from "../../operate/audit/auditRefusal.js";
import { Store } from "../../operate/state/store/store.js";
import { logWhile } from "../stack/logWhile.js";
import { controlListeners, startPublicApi } from "./api.js";
import { Publisher } from "./publisher.js";
import type { RoleContext, RunningRole } from "./role.js";
import { startRollout } from "./rollout.js";

/** How long a start waits for the first publication. */
const FIRST_PUBLICATION_MS = 10_000;

/** Closes what it has opened when a part cannot start, because an open listener would keep the process alive. */
export async function startControlRole(context: RoleContext): Promise<RunningRole> {
	const { at, log, allowLocalGates = false } = context;
	let listeners: readonly ControlListener[] = [];
	const store = new Store(join(at.dataDirectory, "state"), { controlListeners: () => listeners, allowLocalGates });
	const opened = [() => store.close()];
	const close = async (): Promise<void> => {
		for (let part = opened.pop(); part !== undefined; part = opened.pop()) await part();
	};
	try {
		const publisher = await Publisher.start(context, store, (refused) => auditRefusal(store, refused));
		opened.push(() => publisher.close());
		const api = await startPublicApi(context, store, publisher);
		opened.push(() => api.close());
		listeners = controlListeners(context, api.url);
		await within(FIRST_PUBLICATION_MS, publisher.first);
		opened.push(startRollout(context, store));
		const stopLogging = [
			logWhile(log, () => publisher.lag(), "changes are not published", "changes are published again"),
			logWhile(
				log,
				() => unansweredTables(store.proxies.proxies, Date.now()).map(unansweredTableText).join("; ") || null,
				"sidecars do not accept changes",
				"sidecars accept changes again",
			),
		];
		opened.push(async () => {
			for (const stop of stopLogging) stop();
		});
		return {
			ready: { api: api.url, ...(publisher.tcp === null ? {} : { xds: publisher.tcp }) },
			renewApi: (tls) => api.renew(tls),
			close,
		};
	} catch (error) {
		await close();
		throw error;
	}
}
