/** `weir control` and `weir ingest`: two processes, so that ingest load delays neither a rollback nor a push. */
import { isIP } from "node:net";
import { bareHost } from "../../declare/resources/address.js";
import { spiffeFault, trustDomainOf } from "../../declare/resources/spiffe.js";
import { WeirError } from "../../error.js";
import { createLog, type Log } from "../../observe/telemetry/log.js";
import { createMeter } from "../../observe/telemetry/meter.js";
import { forwardedBy } from "../../trust/identity/forwarded.js";
import { httpPeerSpiffeId } from "../../trust/identity/nodeTls.js";
import type { Identity } from "../../trust/identity/svid.js";
import type { Workload } from "../../trust/identity/workloadClient.js";
import type { RoleContext, RunningRole } from "../roles/role.js";
import { serveUntilStopped } from "../stack/child.js";
import { places } from "../stack/places.js";
import { watchRenewal } from "../stack/renewal.js";

export interface ControlArguments {
	readonly data: string;
	readonly run?: string;
	/** UNIX socket of a SPIFFE agent. */
	readonly identity?: string;
	readonly apiAddress: string;
	/** Absent: the API has no TCP listener. */
	readonly apiPort?: string;
	readonly admin: readonly string[];
	readonly allowLocalGates?: boolean;
	/** OIDC of operators: the issuer, and with it the audience and the keys. */
	readonly operatorIssuer?: string;
	readonly operatorAudience?: string;
	readonly operatorKeys?: string;
	readonly operatorGroupsClaim: string;
	/** ADDRESS:PORT */
	readonly xdsListen?: string;
	/** ADDRESS:PORT; false = none, by a flag. */
	readonly accessLogListen?: string | false;
	/** SPIFFE-ID=NAME,NAME, or SPIFFE-ID=* for all */
	readonly envoyGateways: readonly string[];
	readonly traceSampling: string;
	/** File of the ports of Gateways that declare 0. */
	readonly gatewayPorts?: string;
	/** Directory of the models that Variants name. */
	readonly store?: string;
	/** ADDRESS:PORT of the predictor that serves those of Variants without endpoints. */
	readonly predictor?: string;
	/** Its SPIFFE id; default: /weir/predictor in the own trust domain. */
	readonly predictorId?: string;
}

export interface IngestArguments
	extends Pick<ControlArguments, "data" | "run" | "identity" | "accessLogListen" | "envoyGateways"> {
	/** `denied`, a percentage, `all` */
	readonly decisionLog: string;
}

export async function control(options: ControlArguments): Promise<void> {
	const { apiPort, xdsListen, operatorIssuer, operatorAudience, operatorKeys } = options;
	const accessLogListen = accessLogOf(options);
	if (apiPort === undefined && [operatorIssuer, operatorAudience, operatorKeys].some(Boolean))
		throw new WeirError(
			"invalid-argument",
			"operators' tokens are accepted only by the API's TCP listener, which is not open",
			"add --api-port PORT",
		);
	const { startControlRole } = await import("../roles/control.js");
	await run("control", options, [apiPort, xdsListen, accessLogListen], startControlRole, async ({ identity, log }) => ({
		traceSamplingPercent: percent(options.traceSampling),
		apiListener:
			identity === null || apiPort === undefined
				? null
				: {
						address: options.apiAddress,
						port: port(apiPort),
						tls: pemOf(identity),
						peer: (request) => httpPeerSpiffeId(request, identity),
						passedOnBy: ({ headers }) => forwardedBy(headers),
						...(await operatorsByToken(options, log)),
					},
		apiAdmins: options.admin,
		allowLocalGates: options.allowLocalGates ?? false,
		xdsListen: xdsListen === undefined ? null : hostAndPort(xdsListen),
		accessLogListen: accessLogListen === undefined ? null : hostAndPort(accessLogListen),
		gatewayPortsFile: options.gatewayPorts ?? null,
		models: await modelsOf(options, identity),
	}));
}

export async function ingest(options: IngestArguments): Promise<void> {
	const { accessLogListen, decisionLog } = options;
	const listen = accessLogListen === false ? undefined : accessLogListen;
	const { startIngestRole } = await import("../roles/ingest.js");
	await run("ingest", options, [listen], startIngestRole, async () => ({
		decisionLog,
		accessLogListen: listen === undefined ? null : hostAndPort(listen),
	}));
}

async function run(
	role: string,
	options: Pick<ControlArguments, "data" | "run" | "identity" | "envoyGateways">,
	tcp: readonly (string | undefined)[],
	start: (context: RoleContext) => Promise<RunningRole>,
	more: (own: Pick<RoleContext, "identity" | "log">) => Promise<Partial<RoleContext>>,
): Promise<void> {
	if (options.identity === undefined && tcp.some((listener) => listener !== undefined))
		throw new WeirError(
			"invalid-argument",
			"a TCP listener needs an identity: it is mTLS only",
			"add --identity SOCKET",
		);
	const at = places(options.data, options.run);
	const log = createLog({ role });
	const identity = options.identity === undefined ? null : await identityOf(options.identity, log);
	const renewal = watchRenewal(createMeter({ role }), log, () => identity?.validity() ?? null);
	const running = await start({
		...{ at, log, meter: renewal.meter, identity, traceSamplingPercent: 0 },
		...{ xdsListen: null, accessLogListen: null, gatewayPortsFile: null },
		envoyGateways: new Map(options.envoyGateways.map(envoyGateways)),
		...(await more({ identity, log })),
	});
	const stopRotation = identity?.onRotated(() => running.renewApi?.(pemOf(identity)));
	serveUntilStopped(running.ready, async () => {
		stopRotation?.();
		await running.close();
		renewal.close();
		identity?.close();
	});
}

/** Envoys of other machines that get their configuration here have no other way to be recorded. */
function accessLogOf({ xdsListen, accessLogListen }: ControlArguments): string | undefined {
	if (accessLogListen === undefined && xdsListen !== undefined)
		throw new WeirError(
			"invalid-argument",
			"Envoys of other machines would have no access log: no denial of theirs would be recorded, and no exposure counted",
			"add --access-log-listen ADDRESS:PORT, or --no-access-log-listen to go without",
		);
	return accessLogListen === false ? undefined : accessLogListen;
}

/** Loaded only where it is used. */
async function modelsOf(
	{ store, predictor, predictorId }: ControlArguments,
	identity: Identity | null,
): Promise<NonNullable<RoleContext["models"]>> {
	if (store === undefined) {
		if (predictor === undefined) return { store: null, host: null };
		throw new WeirError("invalid-argument", "--predictor serves models of a store", "add --store DIRECTORY");
	}
	const [{ ModelStore }, { predictorHost }] = await Promise.all([
		import("../../serve/registry/store.js"),
		import("../roles/predictorHost.js"),
	]);
	const models = new ModelStore(store);
	if (predictor === undefined) return { store: models, host: null };
	if (identity === null)
		throw new WeirError("invalid-argument", "--predictor needs an identity: it is mTLS only", "add --identity SOCKET");
	const id = predictorId ?? `spiffe://${trustDomainOf(identity.current().spiffeId)}/weir/predictor`;
	return { store: models, host: predictorHost({ ...hostAndPort(predictor), id }, identity) };
}

/** With an issuer the API takes its tokens too, and a client certificate is not demanded any more. */
async function operatorsByToken(options: ControlArguments, log: Log) {
	const { operatorIssuer: issuer, operatorAudience: audience, operatorKeys: keys, operatorGroupsClaim } = options;
	if (issuer === undefined && audience === undefined && keys === undefined) return {};
	if (issuer === undefined || audience === undefined || keys === undefined) {
		const hint = "write --operator-issuer, --operator-audience and --operator-keys together";
		throw new WeirError("invalid-argument", "the operators' issuer is incomplete", hint);
	}
	const { operatorTokens } = await import("../roles/operatorTokens.js");
	return { tokens: operatorTokens({ issuer, audience, keys, groupsClaim: operatorGroupsClaim }, log) };
}

/** Loaded only where it is used. */
async function identityOf(socketPath: string, log: Log): Promise<Workload> {
	const { ownIdentity } = await import("../stack/identity.js");
	return ownIdentity(socketPath, log);
}

function pemOf(identity: Identity): { key: string; cert: string; ca: string } {
	const { certificate, privateKey, trustBundle } = identity.current();
	return { key: privateKey, cert: certificate, ca: trustBundle };
}

function envoyGateways(pair: string): readonly [string, readonly string[]] {
	const [id = "", names = "", ...rest] = pair.split("=");
	const fault = spiffeFault(id);
	if (fault !== null || rest.length > 0 || names === "")
		throw new WeirError(
			"invalid-argument",
			`'${pair}' is not SPIFFE-ID=GATEWAY,GATEWAY`,
			"or SPIFFE-ID=* for every Gateway",
		);
	return [id, names.split(",")];
}

/** `ADDRESS:PORT`, an IPv6 address in brackets. @throws WeirError `invalid-argument` */
export function hostAndPort(text: string): { readonly host: string; readonly port: number } {
	const colon = text.lastIndexOf(":");
	const host = bareHost(text.slice(0, Math.max(0, colon)));
	if (isIP(host) === 0)
		throw new WeirError("invalid-argument", `'${text}' is not ADDRESS:PORT`, "such as 10.0.0.1:18000");
	return { host, port: port(text.slice(colon + 1)) };
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
