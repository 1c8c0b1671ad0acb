/** Gateway: a place where Envoy listens. */
import type { z } from "zod";
import { ipAddress } from "./host.js";
import { resource } from "./metadata.js";
import type { Gateway } from "./resource.js";
import { text } from "./scalar.js";
import { fields, flag, whole } from "./strict.js";

const file = (what: string) => text(`write the path of a PEM file with ${what}`);

const tls = fields({
	certificateFile: file("the server certificate").meta({ description: "PEM file: the server certificate chain." }),
	privateKeyFile: file("its private key").meta({ description: "PEM file: the certificate's private key." }),
	clientCaFile: file("the CA of client certificates")
		.nullable()
		.default(null)
		.meta({ description: "PEM file: CA of the client certificates (SPIFFE SVIDs) that are then demanded." }),
});

export const gatewaySchema: z.ZodType<Gateway> = resource(
	"Gateway",
	"A place where Envoy listens. Every Service is reachable through every Gateway, by host name.",
	fields({
		address: ipAddress.default("127.0.0.1"),
		port: whole(0, 65_535).meta({ description: "0 = any free port." }),
		exposeArm: flag.default(false).meta({ description: "Adds the response header x-weir-arm." }),
		tls: tls.nullable().default(null),
	}),
);
