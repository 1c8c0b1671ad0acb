/** The xds role: state → compile → publish → acknowledged. */
import { isDeepStrictEqual } from "node:util";
import { probeTargets } from "../../compile/access/bypass/probe.js";
import { type CompileOptions, compile, compileForms } from "../../compile/compile.js";
import type { State } from "../../decide/rollout/ports.js";
import { qualifiedName, type ResourceSet } from "../../declare/resources/resource.js";
import { trustDomainOf } from "../../declare/resources/spiffe.js";
import { WeirError } from "../../error.js";
import { HANDSHAKE_FAULTS_RECORDED_MS, KEYS_REFRESH_MS, PUBLICATION_CHECK_MS } from "../../limits/index.js";
import { ingestClient } from "../../observe/events/client.js";
import { StateClient } from "../../operate/api/client.js";
import type { XdsSecurity } from "../../publish/xds/grpcListeners.js";
import { XdsServer } from "../../publish/xds/server.js";
import { ReportThrottle } from "../../trust/clients/reportThrottle.js";
import type { Identity } from "../../trust/identity/svid.js";
import { describeFault, HANDSHAKES_REFUSED, type HandshakeFault } from "../../trust/tls/handshake.js";
import { installationId } from "../stack/installation.js";
import { collectorsOf } from "../stack/places.js";
import { watchClosures } from "./closedServices.js";
import { connectionLifeMs } from "./connectionLife.js";
import { TROUBLES_PATH } from "./gatewayTroubles.js";
import { IssuerKeys } from "./issuerKeys.js";
import { loadMetrics } from "./loads.js";
import { meshClientTroubles } from "./meshClients.js";
import { serveMetrics } from "./metrics.js";
import { PlanKeeper } from "./planKeeper.js";
import { ProbeDesk } from "./probeDesk.js";
import { watchRefusals } from "./refusedConfigurations.js";
import { gatewaysOfEnvoy, type RoleContext, type RunningRole } from "./role.js";
import { UnknownKeysReader } from "./unknownKeys.js";

/** Refused xDS streams are audited once in this time for each id and reason, because clients retry every few seconds. */
const XDS_REFUSALS_AUDITED_MS = 60_000;

const POLL_MS = 20_000;
const RETRY_MS = 300;

export async function startXdsRole(context: RoleContext): Promise<RunningRole> {
	const { at, log, meter, traceSamplingPercent, gatewayPorts, identity, xdsListen, envoyGateways } = context;
	const state = new StateClient(at.apiSocket);
	const keeper = new PlanKeeper(state, log);
	const installation = installationId(at.dataDirectory);
	// Once: a listener that changes drains its connections.
	const connectionMs = identity === null ? null : connectionLifeMs(identity.current().certificate);
	// Once, likewise.
	const trustDomain = identity === null ? null : trustDomainOf(identity.current().spiffeId);
	/** Tried again each second, some of it. */
	const untaken = new ReportThrottle<string>((line, times) => log.warn(line, { times }), HANDSHAKE_FAULTS_RECORDED_MS);
	const tell = (what: string, call: Promise<void>): void => {
		call.catch((error: unknown) => untaken.add(`${what} was not taken by api: ${WeirError.from(error).message}`));
	};
	const issuerKeys = new IssuerKeys({ log, meter, changed: publishKeys });
	const unknownKeys = new UnknownKeysReader(ingestClient(at.ingestSocket, KEYS_REFRESH_MS), (gateway) =>
		issuerKeys.unknownKey(gateway),
	);
	/** A client tries again every few seconds: each id and reason are logged once in a while. */
	const refusedStreams = new ReportThrottle<string>((refused) => {
		const [reason, id]: [string, string | null] = JSON.parse(refused);
		tell("a refused stream", state.refusedStream({ reason, id, atMs: Date.now() }));
		log.warn("an xDS stream was refused", { reason, id: id ?? "" });
	}, XDS_REFUSALS_AUDITED_MS);
	const handshakes = new ReportThrottle<HandshakeFault>((fault, times) => {
		const reason = describeFault(fault, times);
		tell("a refused handshake", state.refusedStream({ id: null, reason, atMs: Date.now() }));
		log.warn("a TLS handshake at xDS was refused", { reason });
	}, HANDSHAKE_FAULTS_RECORDED_MS);
	const server: XdsServer = new XdsServer({
		...(identity === null || xdsListen === null ? {} : { secure: await security(identity) }),
		loads: { onReport: loadMetrics(meter) },
		probes: {
			next: (envoy, report, gone) => probes.next(envoy, report, gone),
		},
		gatewaysOf: (id) => gatewaysOfEnvoy(envoyGateways, id),
		onRefused: (reason, id) => {
			refusedStreams.add(JSON.stringify([reason, id]));
			meter.count(
				"weir_xds_streams_refused_total",
				"xDS streams and connections refused for who their client is, or for having too much.",
				{ reason },
			);
		},
		onHandshakeFault: (reason) => {
			meter.count(HANDSHAKES_REFUSED.name, HANDSHAKES_REFUSED.help, { door: "xds", reason });
			handshakes.add(reason);
		},
	});
	const probes: ProbeDesk = new ProbeDesk({ proxies: () => server.proxies(), log, meter });
	const stopped = new AbortController();
	server.onAcknowledged((revision, atMs, closed) => {
		meter.gauge(
			"weir_xds_acknowledged_revision",
			"Newest revision that every connected Envoy has acknowledged.",
			revision,
		);
		tell("an acknowledgement", state.acknowledge(revision, atMs, closed));
	});
	const refusals = watchRefusals({
		log,
		meter,
		audit: (refused) => tell("a refused configuration", state.refusedConfiguration(refused)),
	});
	const closures = watchClosures({
		log,
		meter,
		audit: (refused) => tell("a refused configuration", state.refusedConfiguration(refused)),
	});
	/** The report of the process before this one has been read; until then it is not replaced. */
	let recalled = false;
	/** api was not there for the last one. */
	let reportDue = true;
	const reportProxies = (): void => {
		reportDue = !recalled;
		if (reportDue) return;
		const call = state.reportProxies(server.proxies());
		call.catch(() => {
			reportDue = true;
		});
		tell("the proxy report", call);
	};
	server.onProxiesChanged(() => {
		const proxies = server.proxies();
		meter.gauge("weir_xds_connected", "Connected Envoys.", proxies.length);
		refusals.look(proxies);
		closures.look(proxies);
		reportProxies();
	});
	await server.listen({ socketPath: at.adsSocket });
	const tcp = xdsListen === null ? null : await server.listen(xdsListen);
	const metrics = await serveMetrics(at.xdsMetricsSocket, meter, {
		"POST /v1/probe": () => probes.ask(),
		[`GET ${TROUBLES_PATH}`]: async () => [
			...probes.alarms(),
			...issuerKeys.troubles(),
			...keeper.troubles(),
			...(now === null ? [] : meshClientTroubles(now.state.resources, trustDomain)),
		],
	});
	let publishedOnce: () => void = () => {};
	const published = new Promise<void>((resolve) => {
		publishedOnce = resolve;
	});
	/** Of the state that was taken last. */
	let revision = 0;
	let warnedOfNobody = false;
	/** What was published last. */
	let now: {
		readonly state: State;
		readonly keys: string;
	} | null = null;
	/** One publication at a time, each with the newest state and keys. */
	let publishing: Promise<void> = Promise.resolve();
	const following = follow();
	/** Again and again, as api may be new; its own silence is logged where the state is asked for. */
	const tellPublished = (): void => {
		state.published(now?.state.revision ?? 0).catch(() => {});
		if (reportDue) reportProxies();
	};
	const telling = setInterval(tellPublished, PUBLICATION_CHECK_MS);
	tellPublished();
	const looking = setInterval(() => {
		publishKeys();
		if (now?.state.resources.gateways.some(({ spec }) => spec.tokens.some(({ keys }) => keys.from === "url")))
			void unknownKeys.look();
	}, KEYS_REFRESH_MS);
	await Promise.race([published, new Promise((resolve) => setTimeout(resolve, 10_000))]);
	return {
		ready: tcp === null ? {} : { xds: tcp },
		close: async () => {
			stopped.abort();
			clearInterval(looking);
			clearInterval(telling);
			metrics.close();
			await server.close();
			handshakes.close();
			refusedStreams.close();
			untaken.close();
			await Promise.race([following, new Promise((resolve) => setTimeout(resolve, 100))]);
		},
	};

	async function publish(next: State): Promise<void> {
		const resources = withPorts(next.resources, gatewayPorts);
		let keySets = await issuerKeys.read(resources);
		const optionsNow = (): CompileOptions => ({
			collectors: collectorsOf(at, traceSamplingPercent),
			sidecar: "always",
			keySets,
			installation,
			...(connectionMs === null ? {} : { connectionMs }),
			...(trustDomain === null ? {} : { trustDomain }),
		});
		let plan = compile(resources, next.status, optionsNow());
		if (trustDomain === null) warnOfNobody(resources);
		// Of the process before this one: from now on it is this one's.
		const former = now === null ? await state.newestPlan() : null;
		// After a restart Envoys keep what they have until the issuers have answered: they may have their keys. Only where
		// they believe whom they should, and judge as they should: nothing that was taken away waits for that.
		const awaited = former === null ? null : issuerKeys.awaited();
		if (awaited !== null && isDeepStrictEqual(former, JSON.parse(JSON.stringify(plan.table)))) {
			await awaited;
			keySets = await issuerKeys.read(resources);
			plan = compile(resources, next.status, optionsNow());
		}
		const options = optionsNow();
		await keeper.keep(plan.version, plan.table);
		revision = next.revision;
		const closable = {
			forms: () => compileForms(resources, next.status),
			close: (closed: ReadonlySet<string>) => compile(resources, next.status, { ...options, closed }).envoy,
			onFault: (error: unknown) =>
				log.error("Services cannot be closed for an Envoy that refuses them", { why: WeirError.from(error).message }),
		};
		server.publish({ ...plan, closable }, next.revision);
		now = { state: next, keys: JSON.stringify(keySets) };
		probes.publish(probeTargets(plan.version, plan.table, resources.gateways));
		tellPublished();
		meter.count("weir_xds_plans_published_total", "Plans published to Envoys.");
		publishedOnce();
	}

	/** Once a process. */
	function warnOfNobody({ gateways }: ResourceSet): void {
		const [mesh] = gateways.filter(({ spec }) => spec.tls?.from === "identity");
		if (mesh === undefined || warnedOfNobody) return;
		warnedOfNobody = true;
		log.warn("a Gateway takes no client: xds has no identity, and so does not know the mesh's trust domain", {
			gateway: qualifiedName(mesh.metadata),
			hint: "start it with --identity SOCKET",
		});
	}

	function publishKeys(): void {
		publishing = publishing.then(lookAtKeys).catch((error: unknown) => {
			log.warn("changed keys were not published", { why: WeirError.from(error).message });
		});
	}

	/** Keys are no part of the table, so a plan with others has the same version; its filters differ. */
	async function lookAtKeys(): Promise<void> {
		if (now === null || stopped.signal.aborted) return;
		if (JSON.stringify(await issuerKeys.read(now.state.resources)) === now.keys) return;
		await publish(now.state);
		log.info("changed keys of token issuers were published");
	}

	/** What was reported before this process is over, but what Envoys refused is still refused by those that come back. */
	async function recall(): Promise<void> {
		server.remember(await state.reportedProxies());
		recalled = true;
		reportProxies();
	}

	/** Follows the state for ever; api's absence is waited out, Envoys keep what they have. */
	async function follow(): Promise<void> {
		let silent = false;
		while (!stopped.signal.aborted) {
			try {
				if (!recalled) await recall();
				const next = await state.state(revision, POLL_MS);
				silent = false;
				if (next === null || stopped.signal.aborted) continue;
				const done = publishing.then(() => publish(next));
				publishing = done.catch(() => {});
				await done;
			} catch (error) {
				if (!silent) log.warn("no new plan", { why: WeirError.from(error).message });
				silent = true;
				await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
			}
		}
	}
}

/** Loaded only where xDS has a TCP door. */
async function security(identity: Identity): Promise<XdsSecurity> {
	const [{ grpcPeerSpiffeId }, { admitPeers, mutualTls }] = await Promise.all([
		import("../../trust/identity/grpcTls.js"),
		import("../../trust/identity/nodeTls.js"),
	]);
	return {
		tls: mutualTls(identity),
		admitPeers: (server, admit, refused) => admitPeers(server, identity, admit, (_, id) => refused(id)),
		idOf: (call) => grpcPeerSpiffeId(call, identity),
	};
}

function withPorts(resources: ResourceSet, ports: ReadonlyMap<string, number>): ResourceSet {
	const gateways = resources.gateways.map((gateway) => ({
		...gateway,
		spec: { ...gateway.spec, port: gateway.spec.port || (ports.get(qualifiedName(gateway.metadata)) ?? 0) },
	}));
	return { ...resources, gateways };
}
