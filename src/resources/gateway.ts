/** Gateway: a place where Envoy listens. */
import { z } from "zod";
import { ipAddress } from "./host.js";
import { resource } from "./metadata.js";
import type { Gateway, GatewayTls, TokenIssuer } from "./resource.js";
import { duration, text } from "./scalar.js";
import { fields, flag, list, oneOf, refuseRepeats, say, whole } from "./strict.js";

const file = (what: string) => text(`write the path of a PEM file with ${what}`);

const files = fields({
	certificateFile: file("the server certificate").meta({ description: "PEM file: the server certificate chain." }),
	privateKeyFile: file("its private key").meta({ description: "PEM file: the certificate's private key." }),
	clientCaFile: file("the CA of client certificates")
		.nullable()
		.default(null)
		.meta({ description: "PEM file: CA of the client certificates (SPIFFE SVIDs) that are then demanded." }),
});

const TLS_HINT = "write tls: {identity: mesh}, or {certificateFile, privateKeyFile, clientCaFile}";

const tls = z
	.union([files, fields({ identity: z.literal("mesh", { error: "write identity: mesh" }) })], { error: TLS_HINT })
	.transform((value): GatewayTls => ("identity" in value ? { from: "identity" } : { from: "files", ...value }));

const ISSUER_HINT = "write the issuer as it stands in the tokens, such as https://id.example.com";
const AUDIENCES_HINT = "write a list of at least one audience, as it stands in the tokens";

const claimPath = text("write the name of a claim such as sub, or a path such as org.tenant");

const tokens = list(
	fields({
		issuer: text(ISSUER_HINT).meta({ description: "Claim iss." }),
		audiences: list(text(AUDIENCES_HINT), AUDIENCES_HINT)
			.min(1, { error: AUDIENCES_HINT })
			.meta({ description: "Claim aud must hold one of them." }),
		jwksFile: text("write the path of a JSON Web Key Set").meta({
			description: "File with the issuer's keys (RFC 7517).",
		}),
		profile: oneOf("jwt", "at+jwt").default("jwt"),
		maxLifetime: duration(1).prefault("1d"),
		binding: oneOf("none", "dpop", "mtls", "either").default("none"),
		groupsClaim: claimPath.default("groups"),
		tenantClaim: claimPath.default("tenant"),
		purposeClaim: claimPath.default("purpose"),
	}).transform(
		({ jwksFile, maxLifetime, ...rest }): TokenIssuer => ({
			...rest,
			keys: { from: "file", file: jwksFile },
			maxLifetimeMs: maxLifetime,
		}),
	),
	"write a list of {issuer, audiences, jwksFile}",
)
	.superRefine((issuers, context) => {
		refuseRepeats(
			issuers,
			({ issuer }) => issuer,
			(index, first, key) => {
				const message = say(`repeats ${key}, item ${first} of the list`, "give each issuer once");
				context.addIssue({ code: "custom", path: [index, "issuer"], message });
			},
		);
	})
	.default([])
	.meta({ description: "Whose tokens (JWT) Envoy verifies, so that a claim can be a unit." });

export const gatewaySchema: z.ZodType<Gateway> = resource(
	"Gateway",
	"A place where Envoy listens. Every Service is reachable through every Gateway, by host name.",
	fields({
		address: ipAddress.default("127.0.0.1"),
		port: whole(0, 65_535).meta({ description: "0 = any free port." }),
		exposeArm: flag.default(false).meta({ description: "Adds the response header x-weir-arm." }),
		tls: tls.nullable().default(null),
		region: text("write the name of a region").nullable().default(null),
		tokens,
	}),
);
