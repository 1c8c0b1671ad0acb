/** The keeper of an Envoy that has control on another machine answers control's built-in probe, by that Envoy's own identity. */
import { randomUUID } from "node:crypto";
import type { RemoteDoor } from "../../compiler/bootstrap.js";
import { grpcChannelCredentials } from "../../identity/grpcTls.js";
import type { Identity } from "../../identity/svid.js";
import { ownListenersOnly } from "../../probe/ownListeners.js";
import { hostPort } from "../../resources/address.js";
import { Attendant } from "../../xds/attendance/attendant.js";
import { localReach } from "./localReach.js";

/** For as long as this process lives. */
export function attendControl(
	{ address, port, spiffeId }: RemoteDoor,
	identity: Identity,
	envoy: { readonly node: string; readonly adminSocket: string },
): Attendant {
	return new Attendant({
		target: hostPort(address, port),
		credentials: grpcChannelCredentials(identity, (id) => id === spiffeId),
		node: envoy.node,
		keeper: randomUUID(),
		reach: ownListenersOnly(localReach(envoy.adminSocket, identity, (id) => id === identity.current().spiffeId)),
		onRefused: (why) =>
			process.stderr.write(`weir: control does not take this Envoy's keeper, so that it is not probed: ${why}\n`),
	});
}
