/** Operators and an API that know each other by certificates of a development CA. */
import type { IncomingMessage } from "node:http";
import type { TLSSocket } from "node:tls";
import { type Api, type ApiOptions, startApi } from "../../src/operate/api/api.js";
import { ApiClient } from "../../src/operate/api/apiClient.js";
import type { TcpListener } from "../../src/operate/api/caller.js";
import { Store, type StoreOptions } from "../../src/operate/state/store/store.js";
import { createDevelopmentCa, type DevelopmentCa, type IssuedCertificate } from "../trust/identity/developmentCa.js";
import { temporaryDirectory } from "./employment.js";

export const operator = (name: string): string => `spiffe://weir.test/weir/operator/${name}`;
/** What reads of an operator are answered with who is known, and may read nothing. */
export const READS_NOTHING = { code: "permission-denied", message: /needs the verb read in at least one namespace/ };
const CONTROL = "spiffe://weir.test/weir/control";

/** The one URI of a verified certificate; composition uses the identity room for this. */
export function uriOf({ socket }: IncomingMessage): string | null {
	const own = socket as TLSSocket;
	return /^URI:(spiffe:\/\/[^, ]+)$/.exec(own.getPeerCertificate().subjectaltname ?? "")?.[1] ?? null;
}

export interface MutualApi {
	readonly ca: DevelopmentCa;
	readonly store: Store;
	readonly api: Api;
	/** Path of the directory, for a client of the UNIX socket. */
	readonly directory: string;
	/** The local owner, by the UNIX socket. */
	readonly owner: ApiClient;
	/** An operator by certificate. */
	as(name: string): Promise<ApiClient>;
	/** An operator by token, beside the certificate where one is given. */
	withToken(token: string, certificate?: IssuedCertificate): ApiClient;
}

export interface MutualApiOptions extends Partial<ApiOptions> {
	readonly tokens?: TcpListener["tokens"];
	readonly storeOptions?: StoreOptions;
}

export async function controlTls(ca: DevelopmentCa) {
	const own = await ca.issue({ spiffeId: CONTROL });
	return { key: own.privateKey, cert: own.certificate, ca: ca.certificate };
}

export async function newCa(): Promise<DevelopmentCa> {
	return createDevelopmentCa({ trustDomain: "weir.test", nowMs: Date.now(), lifetimeMs: 3_600_000 });
}

/** A client that believes the CA and shows an operator's SVID; name null = no certificate. */
export async function operatorClient(
	ca: DevelopmentCa,
	url: string,
	name: string | null,
	from = ca,
): Promise<ApiClient> {
	const tls = { ca: ca.certificate, server: CONTROL };
	if (name === null) return new ApiClient(url, { tls });
	const own = await from.issue({ spiffeId: operator(name) });
	return new ApiClient(url, { tls: { ...tls, cert: own.certificate, key: own.privateKey } });
}

export async function mutualApi(
	t: { teardown(end: () => unknown): unknown },
	{ tokens, storeOptions, ...more }: MutualApiOptions = {},
): Promise<MutualApi> {
	const directory = temporaryDirectory(t);
	const ca = await newCa();
	const store = new Store(directory, storeOptions);
	t.teardown(() => store.close());
	const listener = { address: "127.0.0.1", port: 0, tls: await controlTls(ca), peer: uriOf };
	const api = await startApi({
		store,
		socket: `${directory}/api.sock`,
		owner: "local:owner",
		tcp: tokens === undefined ? listener : { ...listener, tokens },
		...more,
	});
	t.teardown(() => api.close());
	return {
		ca,
		store,
		api,
		directory,
		owner: new ApiClient(`unix:${api.socket}`),
		as: (name) => operatorClient(ca, api.url, name),
		withToken: (token, own) => {
			const shown = own === undefined ? {} : { cert: own.certificate, key: own.privateKey };
			return new ApiClient(api.url, { tls: { ca: ca.certificate, server: CONTROL, ...shown }, token });
		},
	};
}
