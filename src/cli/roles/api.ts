/** The public API of control, with the endpoints of ingest mounted on it. */
import type { ServerResponse } from "node:http";
import { networkInterfaces, userInfo } from "node:os";
import { gateHost } from "../../decide/rollout/gate.js";
import type { Webhook } from "../../decide/rollout/ports.js";
import type { ControlListener } from "../../declare/resources/checks/controlListener.js";
import { EVIDENCE_TIMEOUT_MS } from "../../limits/index.js";
import { ingestClient } from "../../observe/events/client.js";
import type { Log } from "../../observe/telemetry/log.js";
import { METRICS_CONTENT_TYPE, mergeMetrics } from "../../observe/telemetry/meter.js";
import { type Api, startApi } from "../../operate/api/api.js";
import type { Handle, Mount } from "../../operate/api/mount.js";
import { AUDIT_CHAINS } from "../../operate/audit/auditLog.js";
import type { Store } from "../../operate/state/store/store.js";
import { postWebhook } from "../../operate/webhooks/webhook.js";
import { HANDSHAKES_REFUSED } from "../../trust/tls/handshake.js";
import { controlAlarms } from "./controlAlarms.js";
import { forwardTo } from "./forward.js";
import { readMetrics } from "./metrics.js";
import type { ProbeDesk } from "./probeDesk.js";
import type { Publisher } from "./publisher.js";
import type { RoleContext } from "./role.js";

/** Logs why a gate gave no answer; the caller does not see the reason. */
const logged =
	(webhook: Webhook, log: Log): Webhook =>
	async (gate, question) => {
		const answer = await webhook(gate, question);
		if (!answer.ok && answer.cause !== undefined)
			log.warn("a gate gave no answer", {
				experiment: question.experiment,
				where: gateHost(gate.url),
				cause: answer.cause,
			});
		return answer;
	};

export function startPublicApi(context: RoleContext, store: Store, publisher: Publisher): Promise<Api> {
	const { at, log, meter, apiListener, apiAdmins = [] } = context;
	const ingest = forwardTo(at.ingestSocket, "ingest");
	return startApi({
		store,
		socket: at.apiSocket,
		tcp: apiListener ?? null,
		owner: `local:${userName()}`,
		admins: apiAdmins,
		webhook: logged(postWebhook, log),
		evidence: ingestClient(at.ingestSocket, EVIDENCE_TIMEOUT_MS, "readers"),
		lag: () => publisher.lag(),
		alarms: async (tooLate) => [...(await controlAlarms(at, meter, store.database, tooLate)), ...publisher.alarms()],
		mounts: {
			// Ingest checks whether this sender may report that metric.
			"/v1/outcomes": { handle: ingest, needs: "identity", methods: ["POST"], takesBody: true },
			...decisionLogMounts(ingest),
			"/v1/probe": probeMount(publisher.probes),
			"/v1/traces": { handle: forwardTo(at.traceQuerySocket, "ingest"), needs: "read", methods: ["GET"] },
			"/metrics": (_, response) => answerMetrics(context, store, response),
		},
		onFull: () =>
			meter.count(
				"weir_api_connections_crowded_out_total",
				"Connections of the API's TCP listener that were closed because it was full, of the client with the most.",
			),
		onLimited: (exceeded) =>
			meter.count("weir_api_requests_limited_total", "Requests of the API that were answered with 429.", { exceeded }),
		onHandshakeFault: (reason) =>
			meter.count(HANDSHAKES_REFUSED.name, HANDSHAKES_REFUSED.help, { listener: "api", reason }),
		onError: (error) => log.error("the API failed to answer", { why: String(error) }),
	});
}

/** Reads the body first: an answer before its end may be lost with the connection. */
const probeMount = (probes: Pick<ProbeDesk, "ask">): Mount => ({
	handle: (request, response) => {
		request.resume().once("end", async () => sendJson(response, await probes.ask()));
	},
	...{ needs: "read", methods: ["POST"], takesBody: true, recorded: "probe" },
});

const sendJson = (response: ServerResponse, json: unknown): void =>
	void response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(json));

async function answerMetrics({ at, meter, log }: RoleContext, store: Store, response: ServerResponse): Promise<void> {
	for (const chain of AUDIT_CHAINS) {
		const dropped = store.audit.dropped(chain);
		meter.gauge("weir_operator_audit_dropped", "Audit records of operators that were dropped.", dropped, { chain });
	}
	meter.gauge(
		"weir_rollback_notices_dropped",
		"Notices of rollbacks that were dropped before their gate took them.",
		store.droppedNotices,
	);
	try {
		const parts = await Promise.all([meter.json(), readMetrics(at.ingestSocket), readMetrics(at.sidecarMetricsSocket)]);
		const text = await mergeMetrics(parts.filter((one) => one !== null));
		response.writeHead(200, { "content-type": METRICS_CONTENT_TYPE }).end(text);
	} catch (error) {
		log.error("metrics cannot be read", { why: String(error) });
		response.writeHead(500).end();
	}
}

/** The access record log of the Services that the caller may read, and one request by its id. */
export const decisionLogMounts = (ingest: Handle): Readonly<Record<string, Mount>> => ({
	"/v1/requests": { handle: ingest, needs: "namespaces", methods: ["GET"] },
	"/v1/requests/": { handle: ingest, needs: "read", methods: ["GET"] },
});

/** Control's TCP listeners. A listener on all addresses is listed once for each current address of this machine. */
export function controlListeners(
	{ apiListener, xdsListen, accessLogListen }: Pick<RoleContext, "apiListener" | "xdsListen" | "accessLogListen">,
	apiUrl: string,
): readonly ControlListener[] {
	const apiPort = Number(URL.canParse(apiUrl) ? new URL(apiUrl).port : 0);
	const listeners = [
		{ what: "control's API", at: apiListener ? { host: apiListener.address, port: apiPort } : null },
		{ what: "control's xDS", at: xdsListen },
		{ what: "control's access log", at: accessLogListen },
	];
	return listeners.flatMap(({ what, at }): readonly ControlListener[] => {
		if (at === null || at.port === 0) return [];
		const everywhere = at.host === "0.0.0.0" || at.host === "::";
		const addresses = everywhere ? Object.values(networkInterfaces()).flatMap((one) => one ?? []) : [];
		return [at.host, ...addresses.map(({ address }) => address)].map((address) => ({
			address,
			port: at.port,
			what,
		}));
	});
}

/** A container may run as a user id that has no name. */
function userName(): string {
	try {
		return userInfo().username;
	} catch {
		return String(process.getuid?.() ?? "owner");
	}
}
