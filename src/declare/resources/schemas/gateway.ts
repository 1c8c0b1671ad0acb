/** Gateway: a listener of Envoy. */
import { z } from "zod";
import { GATEWAY_CONNECTION_MS } from "../../../limits/index.js";
import { ipAddress } from "../fields/host.js";
import { duration, region, text } from "../fields/scalar.js";
import { spiffeId, trustDomain } from "../fields/spiffeField.js";
import { fields, flag, list, whole, withHint } from "../fields/strict.js";
import type { Gateway, GatewayTls } from "../resource.js";
import { trustDomainOf } from "../spiffe.js";
import { resource } from "./metadata.js";
import { tokens } from "./tokenIssuer.js";

/** Range of a Gateway's idle timeout: above the 4,000 s of the longest load balancer (AWS ALB). */
export const GATEWAY_IDLE_MS_MIN = 1_000;
export const GATEWAY_IDLE_MS_MAX = 70 * 60 * 1000;

const file = (what: string) => text(`write the path of a PEM file with ${what}`);
const KEY_HINT = "write the path of a PEM file with its private key";
const READ_ONCE = "Envoy reads the file only when it creates the listener; give a replacement a new file name.";
const DOMAINS_HINT = "write a list of SPIFFE trust domains, such as [example.org]";
const TLS_HINT = "write {certificateFile, privateKeyFile, clientCaFile}, or {identity: mesh}";

const IDLE_MAX = `${GATEWAY_IDLE_MS_MAX / 60_000}m`;

const tls = fields(
	{
		certificateFile: file("the server certificate")
			.optional()
			.meta({ description: `Path of a PEM file with the server certificate chain. ${READ_ONCE}` }),
		privateKeyFile: file("its private key")
			.optional()
			.meta({ description: `Path of a PEM file with the private key of the certificate. ${READ_ONCE}` }),
		clientCaFile: file("the CA of client certificates")
			.nullable()
			.default(null)
			.meta({
				description: `Path of a PEM file with the CA of client certificates (SPIFFE SVIDs), which are then required. ${READ_ONCE} Until then a CA removed from the file is still trusted.`,
			}),
		identity: z.literal("mesh", { error: "write identity: mesh" }).optional().meta({
			description:
				"mesh: use Envoy's own SVID and trust bundle instead of files. Clients must present an SVID of the mesh's trust domain.",
		}),
		trustDomains: list(trustDomain, DOMAINS_HINT)
			.min(1, { error: withHint("names none", `${DOMAINS_HINT}, or leave it out`) })
			.optional()
			.meta({
				description:
					"SPIFFE trust domains whose clients are accepted; needs clientCaFile. Default: every trust domain that the CA signs for, including one that shares its root.",
			}),
	},
	TLS_HINT,
).transform((value, context): GatewayTls => {
	const { certificateFile, privateKeyFile, clientCaFile, identity, trustDomains } = value;
	const report = (field: string, what: string, hint: string): void => {
		context.issues.push({ code: "custom", message: withHint(what, hint), path: [field], input: value });
	};
	if (trustDomains !== undefined && identity !== undefined) {
		const what = "is given beside identity: mesh, which takes the mesh's own trust domain alone";
		report("trustDomains", what, "leave it out");
	} else if (trustDomains !== undefined && clientCaFile === null) {
		report("trustDomains", "is given where no client shows a certificate", "add clientCaFile, or leave it out");
	}
	if (identity !== undefined) {
		if (certificateFile !== undefined || privateKeyFile !== undefined || clientCaFile !== null) {
			report("identity", "is given beside files", "keep the files, or identity: mesh alone");
		}
		return { from: "identity" };
	}
	if (certificateFile === undefined) {
		report("certificateFile", "is missing", "write the path of a PEM file with the server certificate");
	}
	if (privateKeyFile === undefined) report("privateKeyFile", "is missing", KEY_HINT);
	return {
		from: "files",
		certificateFile: certificateFile ?? "",
		privateKeyFile: privateKeyFile ?? "",
		clientCaFile,
		...(trustDomains === undefined ? {} : { trustDomains }),
	};
});

export const gatewaySchema: z.ZodType<Gateway> = resource(
	"Gateway",
	"A listener of Envoy. Every Service is reachable through every Gateway, by host name.",
	fields({
		address: ipAddress.default("127.0.0.1"),
		port: whole(0, 65_535).meta({ description: "TCP port; 0: any free port." }),
		exposeArm: flag.default(false).meta({ description: "Adds the response header x-weir-arm. Default false." }),
		idleTimeout: duration(1).prefault("5m").meta({
			description:
				"Closes a stream without data in either direction for this time; default 5m. If the Service has a longer timeout, that one applies.",
		}),
		connectionIdleTimeout: duration(GATEWAY_IDLE_MS_MIN, { ms: GATEWAY_IDLE_MS_MAX, hint: `write at most ${IDLE_MAX}` })
			.nullable()
			.default(null)
			.meta({
				description:
					"Closes a connection without a request for this time. Set it longer than the idle timeout of a load balancer in front. Default 75s; 30m, also the maximum, with client certificates.",
			}),
		tls: tls.nullable().default(null),
		trustedProxies: list(spiffeId, "write a list of SPIFFE ids").default([]).meta({
			description:
				"SPIFFE ids of proxies whose x-forwarded-client-cert header identifies the client. The sidecar then decides access, and denies requests of these proxies without the header.",
		}),
		region: region
			.nullable()
			.default(null)
			.meta({ description: "Region of the Gateway, for AccessPolicy spec.regions." }),
		tokens,
	}).transform(({ idleTimeout, connectionIdleTimeout, ...rest }, context) => {
		const { tls, trustedProxies } = rest;
		const proved = tls !== null && (tls.from === "identity" || tls.clientCaFile !== null);
		if (proved && connectionIdleTimeout !== null && connectionIdleTimeout > GATEWAY_CONNECTION_MS) {
			const message = withHint(
				"is longer than a connection with a client certificate is used",
				`write at most ${GATEWAY_CONNECTION_MS / 60_000}m`,
			);
			context.issues.push({ code: "custom", message, path: ["connectionIdleTimeout"], input: rest });
		}
		if (trustedProxies.length > 0 && !proved) {
			const message = withHint(
				"is given where no client shows a certificate",
				"add tls with clientCaFile, or identity: mesh",
			);
			context.issues.push({ code: "custom", message, path: ["trustedProxies"], input: rest });
		}
		const domains = tls?.from === "files" ? tls.trustDomains : undefined;
		for (const [index, proxy] of trustedProxies.entries()) {
			if (domains === undefined || domains.includes(trustDomainOf(proxy))) continue;
			const message = withHint(
				"is of none of tls.trustDomains, so that it cannot connect",
				"add its trust domain, or remove it",
			);
			context.issues.push({ code: "custom", message, path: ["trustedProxies", index], input: rest });
		}
		return { ...rest, idleTimeoutMs: idleTimeout, connectionIdleTimeoutMs: connectionIdleTimeout };
	}),
);
