/** The API address and the identity that commands use: the socket in ./.weir, or what the user names. */
import { existsSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { trustDomainOf } from "../../declare/resources/spiffe.js";
import { WeirError } from "../../error.js";
import { ApiClient } from "../../operate/api/apiClient.js";

export interface ApiArguments {
	readonly api?: string;
}

/** The named API, else that of the stack that runs on ./.weir, else the socket of a `weir control` there. */
export function addressOf({ api }: ApiArguments): string {
	if (api !== undefined) return api;
	try {
		return JSON.parse(readFileSync(join(".weir", "addresses.json"), "utf8")).api as string;
	} catch (error) {
		// `weir up` alone writes that file.
		const socket = resolve(".weir", "run", "api.sock");
		if (existsSync(socket)) return `unix:${socket}`;
		throw new WeirError(
			"unavailable",
			"neither weir up nor weir control runs on .weir in this directory",
			"name the API with --api or WEIR_API",
			{ cause: error },
		);
	}
}

/**
 * A client with the user's identity, from files named in the environment (not in a shell's history or a process
 * list): WEIR_API_CERT and WEIR_API_KEY (an SVID), WEIR_API_CA (who signs control's certificate),
 * WEIR_API_SERVER (control's SPIFFE id), WEIR_API_TOKEN_FILE (an OIDC access token).
 */
export function clientOf(options: ApiArguments): ApiClient {
	if (actor !== null) return new ApiClient(addressOf(options), { tls: actor });
	const cert = fileIn("WEIR_API_CERT");
	const key = fileIn("WEIR_API_KEY");
	const ca = fileIn("WEIR_API_CA");
	const server = process.env.WEIR_API_SERVER;
	const token = fileIn("WEIR_API_TOKEN_FILE")?.trim();
	return new ApiClient(addressOf(options), {
		tls: {
			...(cert === undefined ? {} : { cert }),
			...(key === undefined ? {} : { key }),
			...(ca === undefined ? {} : { ca }),
			...(server === undefined ? {} : { server }),
		},
		...(token === undefined ? {} : { token }),
	});
}

/** The user's identity from a SPIFFE agent; null = by the environment's files, or the owner of the socket. */
let actor: { readonly cert: string; readonly key: string; readonly ca: string; readonly server: string } | null = null;

/**
 * From now on clients of this process show the identity of a SPIFFE agent, to control alone.
 * @throws WeirError `unavailable` where none comes in time
 */
export async function actAs(identitySocket: string): Promise<void> {
	const { ownIdentity } = await import("../stack/identity.js");
	const workload = await ownIdentity(identitySocket);
	const { spiffeId, certificate, privateKey, trustBundle } = workload.current();
	workload.close();
	const server = `spiffe://${trustDomainOf(spiffeId)}/weir/control`;
	actor = { cert: certificate, key: privateKey, ca: trustBundle, server };
}

function fileIn(variable: string): string | undefined {
	const path = process.env[variable];
	if (path === undefined || path === "") return undefined;
	try {
		return readFileSync(path, "utf8");
	} catch (error) {
		throw new WeirError("invalid-argument", `the file that ${variable} names cannot be read`, "", { cause: error });
	}
}
