/** Control on another machine, for `weir envoy` and `weir sidecar`: mTLS, with one required SPIFFE id. */
import type { RemoteListener } from "../../compile/envoy/bootstrap.js";
import { WeirError } from "../../error.js";
import { hostAndPort } from "./control.js";

export interface ControlEndpointArguments {
	/** UNIX socket of a SPIFFE agent. */
	readonly identity?: string;
	/** xDS over TCP instead of the UNIX socket: ADDRESS:PORT of control. */
	readonly control?: string;
	/** SPIFFE id of that control. */
	readonly controlId?: string;
}

/** @param address ADDRESS:PORT of control. @throws WeirError `invalid-argument` if an identity is missing */
export function controlEndpoint(address: string, { controlId, identity }: ControlEndpointArguments): RemoteListener {
	if (identity === undefined || controlId === undefined)
		throw new WeirError(
			"invalid-argument",
			"control on another machine is mTLS only",
			"add --identity SOCKET and --control-id SPIFFE-ID",
		);
	const { host, port } = hostAndPort(address);
	return { address: host, port, spiffeId: controlId };
}
