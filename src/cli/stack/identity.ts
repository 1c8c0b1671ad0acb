/**
 * Identities on one machine: the SPIFFE ids of the stack's parts, the socket where each takes its own, and `weir ca`
 * that serves them. With SPIRE there is one socket for all, and the agent identifies its workloads.
 */
import { userInfo } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { WeirError } from "../../error.js";
import { followWorkload, type Workload } from "../../trust/identity/workloadClient.js";
import type { ChildSpec } from "./supervisor.js";

/** The embedded CA's trust domain. */
export const TRUST_DOMAIN = "weir.local";

/** SPIFFE ids by the names of their sockets. */
export type IdentityNames = Readonly<Record<string, string>>;

const MAIN = fileURLToPath(new URL("../main.js", import.meta.url));

/** Where a workload takes its identity from `weir ca`: a folder of its own, for RUN/envoy.sock is Envoy's admin. */
export function identitySocket(runDirectory: string, name: string): string {
	return join(runDirectory, "identity", `${name}.sock`);
}

/**
 * The ids of a stack's parts.
 * @param envoy name of the Envoy, weir-gateway by default
 * @param operator name of the person, the own user's by default
 */
export function stackIds(
	trustDomain: string = TRUST_DOMAIN,
	{ envoy = "weir-gateway", operator = userInfo().username }: { envoy?: string; operator?: string } = {},
) {
	const id = (path: string) => `spiffe://${trustDomain}/weir/${path}`;
	return {
		envoy: id(`envoy/${segment(envoy)}`),
		control: id("control"),
		sidecar: id("sidecar"),
		predictor: id("predictor"),
		operator: id(`operator/${segment(operator)}`),
	} as const;
}

/**
 * Parses `--workload`: `NAME=/PATH` in the own trust domain, or `NAME=spiffe://…`.
 * @throws WeirError `invalid-argument` for what is neither, and for a name that is there twice
 */
export function workloadIds(texts: readonly string[], trustDomain: string): IdentityNames {
	const ids: Record<string, string> = {};
	for (const text of texts) {
		const cut = text.indexOf("=");
		const name = text.slice(0, cut);
		const value = text.slice(cut + 1);
		if (cut < 1 || !/^[a-z0-9][a-z0-9-]{0,39}$/.test(name) || !/^(\/|spiffe:\/\/)/.test(value)) {
			throw new WeirError(
				"invalid-argument",
				`'${text}' is no workload`,
				"write NAME=/PATH or NAME=spiffe://…, NAME of small letters, digits and dashes",
			);
		}
		if (Object.hasOwn(ids, name))
			throw new WeirError("invalid-argument", `two workloads are called '${name}'`, "one name for each id");
		ids[name] = value.startsWith("/") ? `spiffe://${trustDomain}${value}` : value;
	}
	return ids;
}

/** `weir ca` for a Supervisor; it reports ready when every socket listens. */
export function caChild(options: {
	readonly data: string;
	readonly run: string;
	readonly trustDomain?: string | undefined;
	readonly ids: IdentityNames;
	readonly svidLifetime?: string | undefined;
}): ChildSpec {
	const { svidLifetime } = options;
	return {
		name: "ca",
		module: MAIN,
		args: [
			"ca",
			...["--data", options.data, "--run", options.run, "--trust-domain", options.trustDomain ?? TRUST_DOMAIN],
			...Object.entries(options.ids).flatMap(([name, id]) => ["--workload", `${name}=${id}`]),
			...(svidLifetime === undefined ? [] : ["--svid-lifetime", svidLifetime]),
		],
	};
}

/**
 * This process's identity, from that socket or from the one that SPIFFE_ENDPOINT_SOCKET names (SPIRE).
 * @throws WeirError `invalid-argument` where both are missing, `unavailable` where no identity comes in time
 */
export function ownIdentity(socketPath: string | undefined, log?: { warn(message: string): void }): Promise<Workload> {
	const path = socketPath ?? process.env.SPIFFE_ENDPOINT_SOCKET;
	if (path === undefined || path === "") {
		throw new WeirError("invalid-argument", "no identity socket is named", "name it, or set SPIFFE_ENDPOINT_SOCKET");
	}
	return followWorkload({ socketPath: path, log: (line) => log?.warn(line) });
}

/** A name as a path segment of a SPIFFE id: what it may not hold becomes a dash. */
function segment(name: string): string {
	const clean = name.replace(/[^A-Za-z0-9._-]/g, "-");
	return /^\.{0,2}$/.test(clean) ? "unnamed" : clean;
}
