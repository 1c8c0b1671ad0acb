/** The publisher: compiles each new state, publishes it over xDS, and records what Envoys and sidecars acknowledge. */
import { isDeepStrictEqual } from "node:util";
import { probeTargets } from "../../compile/access/bypass/probe.js";
import { type CompileOptions, compile, compileForms } from "../../compile/compile.js";
import type { PlanTable } from "../../compile/plan/compiledPlan.js";
import type { State, StateStore } from "../../decide/rollout/ports.js";
import type { Refusal } from "../../decide/rollout/refusal.js";
import { qualifiedName, type ResourceSet } from "../../declare/resources/resource.js";
import { trustDomainOf } from "../../declare/resources/spiffe.js";
import { WeirError } from "../../error.js";
import { HANDSHAKE_FAULTS_RECORDED_MS, KEYS_REFRESH_MS, PUBLICATION_LAG_MS } from "../../limits/index.js";
import { ingestClient } from "../../observe/events/client.js";
import { type GatewayAlarm, PLAN_UNKEPT } from "../../operate/api/wire.js";
import type { AuditedRefusal } from "../../operate/audit/auditRefusal.js";
import type { ProxyReport } from "../../operate/state/store/database.js";
import type { XdsAddress, XdsSecurity } from "../../publish/xds/grpcListeners.js";
import { XdsServer } from "../../publish/xds/server.js";
import { ReportThrottle } from "../../trust/clients/reportThrottle.js";
import type { Identity } from "../../trust/identity/svid.js";
import { describeFault, HANDSHAKES_REFUSED, type HandshakeFault } from "../../trust/tls/handshake.js";
import { GatewayPorts } from "../stack/gatewayPorts.js";
import { installationId } from "../stack/installation.js";
import { collectorsOf } from "../stack/places.js";
import type { AlarmWatch } from "./alarmWatch.js";
import { watchClosures } from "./closedServices.js";
import { connectionLifeMs } from "./connectionLife.js";
import { IssuerKeys } from "./issuerKeys.js";
import { loadMetrics } from "./loads.js";
import { meshClientTroubles } from "./meshClients.js";
import { ModelsInForce } from "./models.js";
import { ProbeDesk } from "./probeDesk.js";
import { watchRefusals } from "./refusedConfigurations.js";
import { gatewaysOfEnvoy, type RoleContext } from "./role.js";
import { UnknownKeysReader } from "./unknownKeys.js";

/** Interval of audit records for refused xDS streams with one id and reason: clients retry every few seconds. */
const XDS_REFUSALS_AUDITED_MS = 60_000;

const POLL_MS = 20_000;

/** The part of the Store that the publisher uses. */
export interface PublishedStore extends Pick<StateStore, "keepPlan" | "acknowledge" | "reportProxies"> {
	readonly current: State;
	readonly newestPlan: PlanTable | null;
	readonly proxies: ProxyReport;
	state(after: number, waitMs: number, signal?: AbortSignal): Promise<State | null>;
}

export class Publisher {
	readonly probes: ProbeDesk;
	/** The TCP address of xDS; null = UNIX socket only. */
	tcp: XdsAddress | null = null;
	/** Resolves when the publication of the initial state has succeeded or failed. Never rejects. */
	first: Promise<void> = Promise.resolve();
	readonly #server: XdsServer;
	readonly #issuerKeys: IssuerKeys;
	readonly #models: ModelsInForce;
	readonly #unknownKeys: UnknownKeysReader;
	readonly #gatewayPorts: GatewayPorts | null;
	/** Fixed at start, because a changed listener drains its connections. */
	readonly #fixed: Pick<CompileOptions, "collectors" | "sidecar" | "installation" | "connectionMs" | "trustDomain">;
	readonly #alarms: readonly AlarmWatch[];
	readonly #unwritten: ReportThrottle<string>;
	readonly #refusedStreams: ReportThrottle<string>;
	readonly #handshakes: ReportThrottle<HandshakeFault>;
	readonly #stopped = new AbortController();
	/** One publication at a time, each with the newest state and keys. */
	#publishing: Promise<void> = Promise.resolve();
	#following: Promise<void> = Promise.resolve();
	#keysTimer: NodeJS.Timeout | undefined;
	/** The last publication. */
	#published: { readonly state: State; readonly keys: string; readonly models: string } | null = null;
	/** Time of the first state that is not yet published; null = the newest state is published. */
	#behindSinceMs: number | null = null;
	/** Why the table of the last plan could not be stored; null = it is stored. */
	#unkept: string | null = null;

	/** Listens, and publishes the stored state. */
	static async start(
		context: RoleContext,
		store: PublishedStore,
		audit: (refused: AuditedRefusal) => void,
	): Promise<Publisher> {
		const { identity, xdsListen } = context;
		const secure = identity === null || xdsListen === null ? null : await security(identity);
		const publisher = new Publisher(context, store, audit, secure);
		try {
			await publisher.#start();
		} catch (error) {
			await publisher.close();
			throw error;
		}
		return publisher;
	}

	private constructor(
		private readonly context: RoleContext,
		private readonly store: PublishedStore,
		private readonly audit: (refused: AuditedRefusal) => void,
		secure: XdsSecurity | null,
	) {
		const { at, log, meter, traceSamplingPercent, gatewayPortsFile, identity } = context;
		const svid = identity?.current() ?? null;
		this.#fixed = {
			collectors: collectorsOf(at, traceSamplingPercent),
			sidecar: "always",
			installation: installationId(at.dataDirectory),
			...(svid === null
				? {}
				: { connectionMs: connectionLifeMs(svid.certificate), trustDomain: trustDomainOf(svid.spiffeId) }),
		};
		this.#gatewayPorts = gatewayPortsFile === null ? null : new GatewayPorts(gatewayPortsFile);
		this.#models = new ModelsInForce({
			...(context.models ?? { store: null, host: null }),
			log,
			changed: () => this.#publishModels(),
		});
		this.#issuerKeys = new IssuerKeys({ log, meter, changed: () => this.#publishKeys() });
		this.#unknownKeys = new UnknownKeysReader(ingestClient(at.ingestSocket, KEYS_REFRESH_MS), (gateway) =>
			this.#issuerKeys.unknownKey(gateway),
		);
		this.#unwritten = new ReportThrottle((line, times) => log.warn(line, { times }), HANDSHAKE_FAULTS_RECORDED_MS);
		this.#refusedStreams = new ReportThrottle((refused) => this.#recordRefusedStream(refused), XDS_REFUSALS_AUDITED_MS);
		this.#handshakes = new ReportThrottle(
			(fault, times) => this.#recordHandshake(describeFault(fault, times)),
			HANDSHAKE_FAULTS_RECORDED_MS,
		);
		const auditNack = (refused: Refusal): void => this.#recordNack(refused);
		this.#alarms = [watchRefusals({ log, meter, audit: auditNack }), watchClosures({ log, meter, audit: auditNack })];
		this.#server = this.#createServer(secure);
		this.probes = new ProbeDesk({ proxies: () => this.#server.proxies(), log, meter });
	}

	/** Alarms of Gateways. */
	alarms(): readonly GatewayAlarm[] {
		return [
			...this.probes.alarms(),
			...this.#issuerKeys.troubles(),
			...this.#models.alarms(),
			...(this.#unkept === null ? [] : [{ gateway: "", alarm: PLAN_UNKEPT, why: this.#unkept }]),
			...(this.#published === null
				? []
				: meshClientTroubles(this.#published.state.resources, this.#fixed.trustDomain ?? null)),
		];
	}

	/** A message if a new state has been unpublished for too long, else null. */
	lag(): string | null {
		if (this.#behindSinceMs === null) return null;
		const behindMs = performance.now() - this.#behindSinceMs;
		if (behindMs < PUBLICATION_LAG_MS) return null;
		const published = this.#published?.state.revision;
		const given = published === undefined ? "nothing published" : `published ${published}`;
		return `state revision ${this.store.current.revision}, ${given} for ${Math.floor(behindMs / 1_000)} s`;
	}

	async close(): Promise<void> {
		this.#stopped.abort();
		clearInterval(this.#keysTimer);
		this.#models.close();
		await this.#server.close();
		for (const digest of [this.#handshakes, this.#refusedStreams, this.#unwritten]) digest.close();
		await Promise.race([this.#following, new Promise((resolve) => setTimeout(resolve, 100))]);
	}

	async #start(): Promise<void> {
		const { at, xdsListen } = this.context;
		// After a restart of control, Envoys that reconnect still refuse the same resources.
		this.#server.remember(this.store.proxies.proxies);
		this.#reportProxies();
		await this.#server.listen({ socketPath: at.adsSocket });
		if (xdsListen !== null) this.tcp = await this.#server.listen(xdsListen);
		this.#following = this.#follow();
		this.#keysTimer = setInterval(() => this.#lookForKeys(), KEYS_REFRESH_MS);
	}

	#createServer(secure: XdsSecurity | null): XdsServer {
		const { meter, envoyGateways } = this.context;
		const server = new XdsServer({
			...(secure === null ? {} : { secure }),
			loads: { onReport: loadMetrics(meter) },
			probes: { next: (envoy, report, gone) => this.probes.next(envoy, report, gone) },
			gatewaysOf: (id) => gatewaysOfEnvoy(envoyGateways, id),
			onRefused: (reason, id) => {
				this.#refusedStreams.add(JSON.stringify([reason, id]));
				meter.count(
					"weir_xds_streams_refused_total",
					"xDS streams and connections refused because of the client's identity or a limit.",
					{ reason },
				);
			},
			onHandshakeFault: (reason) => {
				meter.count(HANDSHAKES_REFUSED.name, HANDSHAKES_REFUSED.help, { listener: "xds", reason });
				this.#handshakes.add(reason);
			},
		});
		server.onAcknowledged((revision, atMs, closed) => {
			const help = "Newest revision that every connected Envoy has acknowledged.";
			meter.gauge("weir_xds_acknowledged_revision", help, revision);
			this.#write("an acknowledgement", () => this.store.acknowledge(revision, atMs, closed));
		});
		server.onProxiesChanged(() => this.#proxiesChanged());
		return server;
	}

	#proxiesChanged(): void {
		const proxies = this.#server.proxies();
		this.context.meter.gauge("weir_xds_connected", "Connected Envoys.", proxies.length);
		for (const alarm of this.#alarms) alarm.look(proxies);
		this.#reportProxies();
	}

	#reportProxies(): void {
		this.#write("the report of Envoys", () => this.store.reportProxies(this.#server.proxies()));
	}

	#recordRefusedStream(refused: string): void {
		const [reason, id]: [string, string | null] = JSON.parse(refused);
		this.context.log.warn("an xDS stream was refused", { reason, id: id ?? "" });
		this.#auditConnection(id, reason);
	}

	#recordHandshake(reason: string): void {
		this.context.log.warn("a TLS handshake at xDS was refused", { reason });
		this.#auditConnection(null, reason);
	}

	#auditConnection(id: string | null, why: string): void {
		const how = id === null ? null : "mtls";
		this.#audit({ atMs: Date.now(), subject: id, how, verb: "connect", object: "xds", why });
	}

	#recordNack({ node, type, source, error, sinceMs }: Refusal): void {
		const object = source === "" ? type : `${type} of ${source}`;
		this.#audit({ atMs: sinceMs, subject: node, how: null, verb: "take", object, why: error });
	}

	#audit(refused: AuditedRefusal): void {
		this.#write("a refusal's audit record", async () => this.audit(refused));
	}

	/** A full disk must not stop xDS. */
	#write(what: string, write: () => Promise<void>): void {
		write().catch((error: unknown) => this.#unwritten.add(`${what} was not stored: ${WeirError.from(error).message}`));
	}

	async #follow(): Promise<void> {
		let { revision } = this.store.current;
		if (revision > 0) this.first = this.#take(this.store.current);
		await this.first;
		while (!this.#stopped.signal.aborted) {
			const next = await this.store.state(revision, POLL_MS, this.#stopped.signal);
			if (next === null || this.#stopped.signal.aborted) continue;
			revision = next.revision;
			await this.#take(next);
		}
	}

	/** Publishes a new state. Never rejects: Envoys keep the previous one, and `lag` reports it. */
	#take(next: State): Promise<void> {
		this.#behindSinceMs ??= performance.now();
		return this.#inTurn("a new state was not published", () => this.#publish(next));
	}

	#inTurn(failure: string, publish: () => Promise<void>): Promise<void> {
		this.#publishing = this.#publishing.then(publish).catch((error: unknown) => {
			this.context.log.error(failure, { why: WeirError.from(error).message });
		});
		return this.#publishing;
	}

	async #publish(next: State): Promise<void> {
		const resources = await this.#models.of(await this.#withPorts(next.resources));
		let keySets = await this.#issuerKeys.read(resources);
		let plan = compile(resources, next.status, { ...this.#fixed, keySets });
		if (this.#published === null) this.#warnOfNoClients(resources);
		// After a restart, Envoys keep their issuer keys until the issuers have answered, unless the plan has changed:
		// a revocation does not wait.
		const previous = this.#published === null ? this.store.newestPlan : null;
		const awaited = previous === null ? null : this.#issuerKeys.awaited();
		if (awaited !== null && isDeepStrictEqual(previous, JSON.parse(JSON.stringify(plan.table)))) {
			await awaited;
			keySets = await this.#issuerKeys.read(resources);
			plan = compile(resources, next.status, { ...this.#fixed, keySets });
		}
		const options = { ...this.#fixed, keySets };
		await this.#keepPlan(plan.version, plan.table);
		const closable = {
			forms: () => compileForms(resources, next.status),
			close: (closed: ReadonlySet<string>) => compile(resources, next.status, { ...options, closed }).envoy,
			onFault: (error: unknown) =>
				this.context.log.error("Services cannot be closed for an Envoy that refuses them", {
					why: WeirError.from(error).message,
				}),
		};
		await this.#server.publishInSlices({ ...plan, closable }, next.revision);
		this.#published = { state: next, keys: JSON.stringify(keySets), models: modelsOf(resources) };
		this.#behindSinceMs = null;
		this.probes.publish(probeTargets(plan.version, plan.table, resources.gateways));
		this.context.meter.count("weir_xds_plans_published_total", "Plans published to Envoys.");
	}

	/** A plan is published even if its table cannot be stored, because a denial in it must hold. */
	async #keepPlan(version: string, table: PlanTable): Promise<void> {
		try {
			await this.store.keepPlan(version, table);
			this.#unkept = null;
		} catch (error) {
			this.#unkept = WeirError.from(error).message;
			this.context.log.error("the table of a plan could not be stored; the plan is published", {
				plan: version,
				why: this.#unkept,
			});
		}
	}

	#lookForKeys(): void {
		this.#publishKeys();
		if (
			this.#published?.state.resources.gateways.some(({ spec }) => spec.tokens.some(({ keys }) => keys.from === "url"))
		)
			void this.#unknownKeys.look();
	}

	#publishKeys(): void {
		void this.#inTurn("changed keys were not published", async () => {
			if (this.#published === null || this.#stopped.signal.aborted) return;
			const { state, keys } = this.#published;
			// Keys are not part of the table: the plan's filters change, but not its version.
			if (JSON.stringify(await this.#issuerKeys.read(state.resources)) === keys) return;
			await this.#publish(state);
			this.context.log.info("changed keys of token issuers were published");
		});
	}

	/** An alias has moved. */
	#publishModels(): void {
		void this.#inTurn("a moved alias was not published", async () => {
			if (this.#published === null || this.#stopped.signal.aborted) return;
			const { state, models } = this.#published;
			if (modelsOf(await this.#models.of(state.resources)) === models) return;
			await this.#publish(state);
			this.context.log.info("a moved alias of a model was published");
		});
	}

	async #withPorts(resources: ResourceSet): Promise<ResourceSet> {
		const ports = await this.#gatewayPorts?.of(resources.gateways);
		if (ports === undefined) return resources;
		const gateways = resources.gateways.map((gateway) => ({
			...gateway,
			spec: { ...gateway.spec, port: gateway.spec.port || (ports.get(qualifiedName(gateway.metadata)) ?? 0) },
		}));
		return { ...resources, gateways };
	}

	#warnOfNoClients({ gateways }: ResourceSet): void {
		const mesh = gateways.find(({ spec }) => spec.tls?.from === "identity");
		if (mesh === undefined || this.#fixed.trustDomain !== undefined) return;
		this.context.log.warn(
			"a Gateway accepts no client: control has no identity, so it does not know the mesh's trust domain",
			{
				gateway: qualifiedName(mesh.metadata),
				hint: "start it with --identity SOCKET",
			},
		);
	}
}

/** Models of all Variants, for comparison. */
const modelsOf = ({ services }: ResourceSet): string =>
	JSON.stringify(services.map(({ spec }) => spec.variants.map(({ model = null }) => model)));

/** Loaded only if xDS listens over TCP. */
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
