/**
 * Transport of probe results. The agent of an Envoy (`weir envoy`) calls Next with the report of its last round, over
 * the UNIX socket or by mTLS. Control answers with the next targets when the next round is due.
 */
import {
	type ChannelCredentials,
	type ClientUnaryCall,
	credentials as channelCredentials,
	type MethodDefinition,
	makeClientConstructor,
	type ServerUnaryCall,
	type ServiceError,
	type sendUnaryData,
	status,
} from "@grpc/grpc-js";
import { OUTCOMES, type ProbeReport, type ProbeResult, type ProbeTargets } from "../../compile/access/bypass/probe.js";
import { WeirError } from "../../error.js";
import { XDS_KEEPALIVE_ANSWER_MS, XDS_KEEPALIVE_MS } from "../../limits/index.js";
import { type Check, fail, integer, list, object, oneOf, orNull, plain, text } from "../../trust/clients/jsonShape.js";
import { mayBeNode, type Peer, type RefusedFor, type RefusedPeer } from "./peer.js";

interface ProbeRequest {
	/** `node.id` of its Envoy. */
	readonly node: string;
	/** null = the first call of the agent. */
	readonly report: ProbeReport | null;
}

const detail: Check<string> = (value) => (typeof value === "string" ? value : fail("is not a text"));

const parseRequest = object<ProbeRequest>({
	node: text,
	report: orNull(
		object<ProbeReport>({
			version: text,
			results: list(object<ProbeResult>({ gateway: text, service: text, outcome: oneOf(...OUTCOMES), detail })),
			unjudged: object({ envoy: integer(0), sidecar: integer(0) }),
		}),
	),
});

const json = (value: unknown): Buffer => Buffer.from(JSON.stringify(value));

const next: MethodDefinition<ProbeRequest, ProbeTargets> = {
	path: "/weir.probe.v1.Probe/Next",
	requestStream: false,
	responseStream: false,
	requestSerialize: json,
	requestDeserialize: (bytes) => parseRequest(JSON.parse(bytes.toString("utf8"))),
	responseSerialize: json,
	responseDeserialize: (bytes) => JSON.parse(bytes.toString("utf8")),
};

export const ProbeServiceDefinition = { next };

export type ProbeCall = ServerUnaryCall<ProbeRequest, ProbeTargets>;
export type AnswerProbe = sendUnaryData<ProbeTargets>;

/** Implemented by control. */
export interface Probes {
	/**
	 * Stores a report. Resolves when the next round is due.
	 * @param gateways qualified names of this Envoy's Gateways; null = all
	 * @param gone aborted when the agent disconnects
	 */
	next(
		envoy: { readonly node: string; readonly gateways: readonly string[] | null },
		report: ProbeReport | null,
		gone: AbortSignal,
	): Promise<ProbeTargets>;
}

export interface ProbeAccess {
	/** null = this server accepts no probe reports. */
	readonly probes: Probes | null;
	readonly gatewaysOf: (spiffeId: string) => readonly string[] | null;
	readonly onRefused: (reason: RefusedFor, id: string | null) => void;
}

export function answerProbe(
	{ probes, gatewaysOf, onRefused }: ProbeAccess,
	call: ProbeCall,
	peer: Peer | RefusedPeer,
	answer: AnswerProbe,
): void {
	const { node, report } = call.request;
	const gateways = "kind" in peer && peer.kind === "envoy" ? gatewaysOf(peer.id) : null;
	const refused = refusalOf(peer, node, gateways);
	if (refused !== null) {
		onRefused(refused.reason, "id" in peer ? peer.id : null);
		answer(refused);
		return;
	}
	if (probes === null) {
		answer({ code: status.UNIMPLEMENTED, details: "this server accepts no probe reports" });
		return;
	}
	const gone = new AbortController();
	call.on("cancelled", () => gone.abort());
	const results = report?.results.map((one) => ({ ...one, detail: plain(one.detail) })) ?? [];
	probes.next({ node, gateways }, report === null ? null : { ...report, results }, gone.signal).then(
		(targets) => answer(null, targets),
		(error: unknown) => answer({ code: status.ABORTED, details: WeirError.from(error).message }),
	);
}

interface Refusal {
	readonly reason: RefusedFor;
	readonly code: status;
	readonly details: string;
}

/** An agent may report only for the Envoy of its own SPIFFE id. */
function refusalOf(peer: Peer | RefusedPeer, node: string, gateways: readonly string[] | null): Refusal | null {
	const denied = (reason: RefusedFor, details: string) => ({ reason, code: status.PERMISSION_DENIED, details });
	if ("refusedFor" in peer)
		return { reason: peer.refusedFor, code: status.UNAUTHENTICATED, details: "only agents of Envoys may report" };
	if (peer.kind === "sidecar") return denied("type", "a sidecar is not probed");
	if (!mayBeNode(peer, node)) return denied("another-node", "node.id is not the client's own");
	return gateways?.length === 0 ? denied("no-gateway", "no Gateway is this Envoy's") : null;
}

const Client = makeClientConstructor(ProbeServiceDefinition, "Probe");

/** Used by the agent. */
export interface ProbeClient {
	/** @throws ServiceError of gRPC */
	next(node: string, report: ProbeReport | null): Promise<ProbeTargets>;
	close(): void;
}

/** @param credentials null = control's UNIX socket */
export function probeClient(target: string, credentials: ChannelCredentials | null): ProbeClient {
	const client = new Client(target, credentials ?? channelCredentials.createInsecure(), {
		"grpc.keepalive_time_ms": XDS_KEEPALIVE_MS,
		"grpc.keepalive_timeout_ms": XDS_KEEPALIVE_ANSWER_MS,
		"grpc.max_receive_message_length": -1,
		"grpc.enable_http_proxy": 0,
		// The peer check is by SPIFFE id, not host name. Node warns about an IP address as SNI.
		...(credentials === null ? {} : { "grpc.ssl_target_name_override": "control" }),
	});
	let call: ClientUnaryCall | undefined;
	return {
		next: (node, report) =>
			new Promise((resolve, reject) => {
				const onAnswer = (error: ServiceError | null, targets: ProbeTargets | undefined): void =>
					targets === undefined ? reject(error) : resolve(targets);
				call = client.next?.({ node, report }, onAnswer);
			}),
		close: () => {
			call?.cancel();
			client.close();
		},
	};
}
