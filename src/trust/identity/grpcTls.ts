/** grpc-js with SPIFFE ids: credentials that follow an identity's rotation. The rules are nodeTls.ts's. */
import { type ChannelCredentials, experimental, type Metadata } from "@grpc/grpc-js";
import { rawStreamOf } from "../tls/grpcStreams.js";
import { idOfConnection } from "./connectionIds.js";
import { isForwarded } from "./forwarded.js";
import { serverCheck } from "./nodeTls.js";
import type { Identity, Svid } from "./svid.js";

/** mTLS for a client's channel to a server that must be one of `servers`; each new connection has the newest SVID. */
export function grpcChannelCredentials(identity: Identity, servers: (spiffeId: string) => boolean): ChannelCredentials {
	const provider = new IdentityProvider(identity);
	return experimental.createCertificateProviderChannelCredentials(provider, provider, {
		checkServerIdentity: serverCheck(identity, servers),
	});
}

/** What grpc-js tells of a call's peer, whose chain TLS has verified. */
export interface AuthenticatedCall {
	readonly metadata: Pick<Metadata, "get">;
	getAuthContext(): { readonly sslPeerCertificate?: { readonly raw?: Buffer } };
}

/**
 * The caller's SPIFFE id in the own trust domain; null = it has none, or passes somebody else's call on, who is nobody
 * here. Only for servers behind a door that demands certificates (serverTls).
 */
export function grpcPeerSpiffeId(call: AuthenticatedCall, identity: Identity): string | null {
	if (isForwarded((name) => call.metadata.get(name).length > 0)) return null;
	const certificate = (): Buffer | undefined => call.getAuthContext().sslPeerCertificate?.raw;
	// Of a stream whose connection has ended nobody knows any more; grpc-js says nothing of it then, either.
	return idOfConnection(identity, rawStreamOf(call)?.session ?? call, certificate);
}

type CaListener = experimental.CaCertificateUpdateListener;
type CertificateListener = experimental.IdentityCertificateUpdateListener;

/** grpc-js asks for the two halves of an identity apart. */
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

	#add(listener: unknown, say: (svid: Svid) => void): void {
		const tell = (): void => {
			const svid = unlessEnded(this.identity);
			// With an ended one the channel waits for the next.
			if (svid !== null) say(svid);
		};
		this.#stops.set(listener, this.identity.onRotated(tell));
		// grpc-js expects to hear later, not within the call.
		queueMicrotask(() => {
			if (this.#stops.has(listener)) tell();
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
