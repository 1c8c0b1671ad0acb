/** `weir control`: runs roles of control. One process a role keeps ingest load away from decisions and pushes. */
import { isIP } from "node:net";
import { bareHost } from "../../declare/resources/address.js";
import { spiffeFault } from "../../declare/resources/spiffe.js";
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
	readonly roles: string;
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
	/** ADDRESS:PORT; false = it is said that there is none. */
	readonly accessLogListen?: string | false;
	/** SPIFFE-ID=NAME,NAME, or SPIFFE-ID=* for all */
	readonly envoyGateways: readonly string[];
	readonly traceSampling: string;
	/** `denied`, a percentage, `all` */
	readonly decisionLog?: string;
	/** NAME=PORT */
	readonly gatewayPort: readonly string[];
}

/** In the order of their start: a role finds those before it. A role's packages are loaded only where it runs. */
const ROLES: Readonly<Record<string, (context: RoleContext) => Promise<RunningRole>>> = {
	api: async (context) => (await import("../roles/api.js")).startApiRole(context),
	ingest: async (context) => (await import("../roles/ingest.js")).startIngestRole(context),
	xds: async (context) => (await import("../roles/xds.js")).startXdsRole(context),
	rollout: async (context) => (await import("../roles/rollout.js")).startRolloutRole(context),
};

export async function control(options: ControlArguments): Promise<void> {
	const names = options.roles.split(",").map((name) => name.trim());
	const unknown = names.find((name) => !Object.hasOwn(ROLES, name));
	if (unknown !== undefined) {
		throw new WeirError("invalid-argument", `there is no role '${unknown}'`, `roles: ${Object.keys(ROLES).join(", ")}`);
	}
	const at = places(options.data, options.run);
	const role = names.join("+");
	const log = createLog({ role });
	const { apiPort, xdsListen } = options;
	const accessLogListen = accessLogOf(options, names);
	const tcp = [apiPort, xdsListen, accessLogListen].some((listener) => listener !== undefined);
	if (tcp && options.identity === undefined)
		throw new WeirError(
			"invalid-argument",
			"a TCP listener needs an identity: it is mTLS only",
			"add --identity SOCKET",
		);
	if (apiPort === undefined && [options.operatorIssuer, options.operatorAudience, options.operatorKeys].some(Boolean))
		throw new WeirError(
			"invalid-argument",
			"operators' tokens are accepted only by the API's TCP listener, which is not open",
			"add --api-port PORT",
		);
	const identity = options.identity === undefined ? null : await identityOf(options.identity, log);
	const renewal = watchRenewal(createMeter({ role }), log, () => identity?.validity() ?? null);
	const context: RoleContext = {
		at,
		log,
		meter: renewal.meter,
		traceSamplingPercent: percent(options.traceSampling),
		decisionLog: options.decisionLog ?? "denied",
		identity,
		apiListener:
			identity === null || options.apiPort === undefined
				? null
				: {
						address: options.apiAddress,
						port: port(options.apiPort),
						tls: pemOf(identity),
						peer: (request) => httpPeerSpiffeId(request, identity),
						passedOnBy: ({ headers }) => forwardedBy(headers),
						...(await operatorsByToken(options, log)),
					},
		apiAdmins: options.admin,
		allowLocalGates: options.allowLocalGates ?? false,
		xdsListen: xdsListen === undefined ? null : hostAndPort(xdsListen),
		accessLogListen: accessLogListen === undefined ? null : hostAndPort(accessLogListen),
		envoyGateways: new Map(options.envoyGateways.map(envoyGateways)),
		gatewayPorts: new Map(
			options.gatewayPort.map((pair) => {
				const at = pair.lastIndexOf("=");
				return [pair.slice(0, at), port(pair.slice(at + 1))];
			}),
		),
	};
	const running: RunningRole[] = [];
	for (const [name, start] of Object.entries(ROLES)) {
		if (names.includes(name)) running.push(await start(context));
	}
	const stopRotation = identity?.onRotated(() => {
		for (const one of running) one.renewApi?.(pemOf(identity));
	});
	serveUntilStopped(Object.assign({}, ...running.map(({ ready }) => ready)), async () => {
		stopRotation?.();
		for (const one of running.reverse()) await one.close();
		renewal.close();
		identity?.close();
	});
}

/** Envoys of other machines that get their configuration here have no other way to be recorded. */
function accessLogOf({ xdsListen, accessLogListen }: ControlArguments, roles: readonly string[]): string | undefined {
	if (accessLogListen === undefined && xdsListen !== undefined && roles.includes("ingest"))
		throw new WeirError(
			"invalid-argument",
			"Envoys of other machines would have no access log: no denial of theirs would be recorded, and no exposure counted",
			"add --access-log-listen ADDRESS:PORT, or --no-access-log-listen to go without",
		);
	return accessLogListen === false ? undefined : accessLogListen;
}

/** With an issuer the API takes its tokens too, and a client certificate is not demanded any more. */
async function operatorsByToken(options: ControlArguments, log: Log) {
	const { operatorIssuer: issuer, operatorAudience: audience, operatorKeys: keys, operatorGroupsClaim } = options;
	if (issuer === undefined && audience === undefined && keys === undefined) return {};
	if (issuer === undefined || audience === undefined || keys === undefined) {
		const hint = "write --operator-issuer, --operator-audience and --operator-keys together";
		throw new WeirError("invalid-argument", "the operators' issuer is not said in full", hint);
	}
	const { operatorTokens } = await import("../roles/operatorTokens.js");
	return { tokens: operatorTokens({ issuer, audience, keys, groupsClaim: operatorGroupsClaim }, log) };
}

/** Loaded only where it is used: most roles have no identity of their own. */
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
