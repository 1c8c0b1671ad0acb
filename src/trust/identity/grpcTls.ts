/** SPIFFE mTLS for grpc-js: credentials that follow rotation. The rules are in nodeTls.ts. */
import { type ChannelCredentials, experimental, type Metadata } from "@grpc/grpc-js";
import { rawStreamOf } from "../tls/grpcStreams.js";
import { idOfConnection } from "./connectionIds.js";
import { isForwarded } from "./forwarded.js";
import { serverCheck } from "./nodeTls.js";
import type { Identity, Svid } from "./svid.js";

/** mTLS for a channel to a server that `servers` accepts; each new connection uses the newest SVID. */
export function grpcChannelCredentials(identity: Identity, servers: (spiffeId: string) => boolean): ChannelCredentials {
	const provider = new IdentityProvider(identity);
	return experimental.createCertificateProviderChannelCredentials(provider, provider, {
		checkServerIdentity: serverCheck(identity, servers),
	});
}

/** The parts of a grpc-js call that identify its peer; TLS has verified the chain. */
export interface AuthenticatedCall {
	readonly metadata: Pick<Metadata, "get">;
	getAuthContext(): { readonly sslPeerCertificate?: { readonly raw?: Buffer } };
}

/**
 * The caller's SPIFFE id in the own trust domain; null = none, or a proxy forwarded the call. Only for servers that require
 * client certificates (serverTls).
 */
export function grpcPeerSpiffeId(call: AuthenticatedCall, identity: Identity): string | null {
	if (isForwarded((name) => call.metadata.get(name).length > 0)) return null;
	const certificate = (): Buffer | undefined => call.getAuthContext().sslPeerCertificate?.raw;
	// Without a session the connection has ended, and grpc-js has no certificate either.
	return idOfConnection(identity, rawStreamOf(call)?.session ?? call, certificate);
}

type CaListener = experimental.CaCertificateUpdateListener;
type CertificateListener = experimental.IdentityCertificateUpdateListener;

/** grpc-js reads roots and certificate separately. */
class IdentityProvider implements experimental.CertificateProvider {
	readonly #stops = new Map<unknown, () => void>();

	constructor(readonly identity: Identity) {}

	addCaCertificateListener(listener: CaListener): void {
		this.#add(listener, ({ trustBundle }) => listener({ caCertificate: Buffer.from(trustBundle) }));
	}

	removeCaCertificateListener(listener: CaListener): void {
		this.#remove(listener);
	}

	addIdentityCertificateListener(listener: CertificateListener): void {
		this.#add(listener, ({ certificate, privateKey }) =>
			listener({ certificate: Buffer.from(certificate), privateKey: Buffer.from(privateKey) }),
		);
	}

	removeIdentityCertificateListener(listener: CertificateListener): void {
		this.#remove(listener);
	}

	#add(listener: unknown, send: (svid: Svid) => void): void {
		const update = (): void => {
			const svid = unlessEnded(this.identity);
			// Without a valid SVID the channel waits for the next one.
			if (svid !== null) send(svid);
		};
		this.#stops.set(listener, this.identity.onRotated(update));
		// grpc-js expects the first call later, not within this one.
		queueMicrotask(() => {
			if (this.#stops.has(listener)) update();
		});
	}

	#remove(listener: unknown): void {
		this.#stops.get(listener)?.();
		this.#stops.delete(listener);
	}
}

function unlessEnded(identity: Identity): Svid | null {
	try {
		return identity.current();
	} catch {
		return null;
	}
}
