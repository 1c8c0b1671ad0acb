/**
 * The api role: wishes and facts behind the public API; outcomes, traces and metrics of the others mounted on it. Without
 * a TCP door it listens on its UNIX socket alone.
 */
import { networkInterfaces, userInfo } from "node:os";
import { join } from "node:path";
import { gateHost } from "../../decide/rollout/gate.js";
import type { Webhook } from "../../decide/rollout/ports.js";
import { unansweredTables, unansweredTableText } from "../../decide/rollout/unansweredTables.js";
import type { ControlListener } from "../../declare/resources/checks/controlListener.js";
import { EVIDENCE_TIMEOUT_MS } from "../../limits/index.js";
import { ingestClient } from "../../observe/events/client.js";
import type { Log } from "../../observe/telemetry/log.js";
import { METRICS_CONTENT_TYPE, mergeMetrics } from "../../observe/telemetry/meter.js";
import { startApi } from "../../operate/api/api.js";
import type { Handle, Mount } from "../../operate/api/mount.js";
import { AUDIT_CHAINS } from "../../operate/audit/auditLog.js";
import { Publication } from "../../operate/state/publication.js";
import { Store } from "../../operate/state/store/store.js";
import { postWebhook } from "../../operate/webhooks/webhook.js";
import { HANDSHAKES_REFUSED } from "../../trust/tls/handshake.js";
import { logWhile } from "../stack/logWhile.js";
import { controlAlarms } from "./controlAlarms.js";
import { forwardTo } from "./forward.js";
import { readGatewayTroubles } from "./gatewayTroubles.js";
import { readMetrics } from "./metrics.js";
import type { RoleContext, RunningRole } from "./role.js";

/** Who asks for a promotion is not told what kept a gate's answer away. */
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

export async function startApiRole(context: RoleContext): Promise<RunningRole> {
	const { at, log, meter, apiListener, apiAdmins = [], allowLocalGates = false } = context;
	let doors: readonly ControlListener[] = [];
	const store = new Store(join(at.dataDirectory, "state"), { controlListeners: () => doors, allowLocalGates });
	const publication = new Publication(() => store.current.revision);
	const stopLooking = [
		logWhile(log, () => publication.lag(), "what was changed is not published", "what was changed is published again"),
		logWhile(
			log,
			() => unansweredTables(store.proxies.proxies, Date.now()).map(unansweredTableText).join("; ") || null,
			"what was changed is not taken by sidecars",
			"what was changed is taken by sidecars again",
		),
	];
	const ingest = forwardTo(at.ingestSocket, "ingest");
	const probe = forwardTo(at.xdsMetricsSocket, "xds");
	const api = await startApi({
		store,
		publication,
		socket: at.apiSocket,
		tcp: apiListener ?? null,
		owner: `local:${userName()}`,
		admins: apiAdmins,
		webhook: logged(postWebhook, log),
		evidence: ingestClient(at.ingestSocket, EVIDENCE_TIMEOUT_MS, "readers"),
		alarms: () => readGatewayTroubles(at.xdsMetricsSocket),
		ownAlarms: (tooLate) => controlAlarms(at, meter, store.database, tooLate),
		mounts: {
			// Ingest asks whether this sender may report that metric.
			"/v1/outcomes": { handle: ingest, needs: "identity", methods: ["POST"], takesBody: true },
			...decisionLogMounts(ingest),
			"/v1/probe": { handle: probe, needs: "read", methods: ["POST"], takesBody: true, recorded: "probe" },
			"/v1/traces": { handle: forwardTo(at.traceQuerySocket, "ingest"), needs: "read", methods: ["GET"] },
			"/metrics": (_, response) => {
				for (const chain of AUDIT_CHAINS) {
					const dropped = store.audit.dropped(chain);
					meter.gauge("weir_operator_audit_dropped", "Audit records of operators that were dropped.", dropped, {
						chain,
					});
				}
				meter.gauge("weir_rollout_untold_dropped", "Rollbacks that no gate was told of in time.", store.untoldDropped);
				const others = [at.ingestSocket, at.xdsMetricsSocket, at.rolloutMetricsSocket, at.sidecarMetricsSocket];
				Promise.all([meter.json(), ...others.map((socket) => readMetrics(socket))])
					.then((roles) => mergeMetrics(roles.filter((one) => one !== null)))
					.then(
						(text) => response.writeHead(200, { "content-type": METRICS_CONTENT_TYPE }).end(text),
						(error: unknown) => {
							log.error("metrics cannot be read", { why: String(error) });
							response.writeHead(500).end();
						},
					);
			},
		},
		onFull: () =>
			meter.count(
				"weir_api_connections_crowded_out_total",
				"Connections of the API's TCP door that were ended to make room, of whoever held the most.",
			),
		onLimited: (exceeded) =>
			meter.count("weir_api_requests_limited_total", "Requests of the API that were answered with 429.", { exceeded }),
		onHandshakeFault: (reason) =>
			meter.count(HANDSHAKES_REFUSED.name, HANDSHAKES_REFUSED.help, { door: "api", reason }),
		onError: (error) => log.error("the API failed to answer", { why: String(error) }),
	});
	doors = controlListeners(context, api.url);
	return {
		ready: { api: api.url },
		renewApi: (tls) => api.renew(tls),
		close: async () => {
			for (const stop of stopLooking) stop();
			await api.close();
			await store.close();
		},
	};
}

/** The decision log, of whose Services one may read; and one request by its id, whosever it was. */
export const decisionLogMounts = (ingest: Handle): Readonly<Record<string, Mount>> => ({
	"/v1/requests": { handle: ingest, needs: "namespaces", methods: ["GET"] },
	"/v1/requests/": { handle: ingest, needs: "read", methods: ["GET"] },
});

/**
 * Control's TCP doors as far as this process knows them: the API's own, and those of other roles that were named to it
 * with a port. A door on all addresses is one on each that this machine has now.
 */
export function controlListeners(
	{ apiListener, xdsListen, accessLogListen }: Pick<RoleContext, "apiListener" | "xdsListen" | "accessLogListen">,
	apiUrl: string,
): readonly ControlListener[] {
	const apiPort = Number(URL.canParse(apiUrl) ? new URL(apiUrl).port : 0);
	const doors = [
		{ what: "control's API", door: apiListener ? { host: apiListener.address, port: apiPort } : null },
		{ what: "control's xDS", door: xdsListen },
		{ what: "control's access log", door: accessLogListen },
	];
	return doors.flatMap(({ what, door }): readonly ControlListener[] => {
		if (door === null || door.port === 0) return [];
		const everywhere = door.host === "0.0.0.0" || door.host === "::";
		const addresses = everywhere ? Object.values(networkInterfaces()).flatMap((one) => one ?? []) : [];
		return [door.host, ...addresses.map(({ address }) => address)].map((address) => ({
			address,
			port: door.port,
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
