/**
 * The sidecar's two services, both over the one answer(): envoy.service.auth.v3.Authorization/Check and
 * envoy.service.ext_proc.v3.ExternalProcessor/Process. Synchronous functions of bytes for the server in grpc/.
 */
import type { IncomingHttpHeaders } from "node:http2";
import { CONTEXT } from "../compiler/calloutContext.js";
import { answer, type Knowledge } from "./answer.js";
import { CheckRequestReader } from "./checkRequest.js";
import { checkResponse } from "./checkResponse.js";
import { type RouteContext, routeContext } from "./context.js";
import type { Protocol } from "./counters.js";
import { endDecisionSpan, startDecisionSpan } from "./decisionSpan.js";
import { GRPC, GrpcFailure, type Methods, type Reply, type StreamHandler } from "./grpc/service.js";
import { ProcessingRequestReader } from "./processingRequest.js";
import {
	changesResponse,
	emptyResponse,
	requestHeadersResponse,
	responseHeadersResponse,
} from "./processingResponse.js";
import { Malformed } from "./protoReader.js";
import type { Answer, Ruling } from "./question.js";

export const CHECK = "/envoy.service.auth.v3.Authorization/Check";
export const PROCESS = "/envoy.service.ext_proc.v3.ExternalProcessor/Process";

/** What is counted; AnswerCounters is one. */
export interface AnswerObserver {
	answered(protocol: Protocol, ruling: Ruling): void;
	malformed(protocol: Protocol): void;
	responded(ruling: Ruling, status: number): void;
}

export interface MethodsOptions extends Knowledge {
	readonly observer?: AnswerObserver;
}

const NOBODY: AnswerObserver = { answered() {}, malformed() {}, responded() {} };

/** The methods by path, for the server. */
export function sidecarMethods(given: MethodsOptions): Methods {
	const options = { ...given, observer: given.observer ?? NOBODY };
	return new Map([
		[CHECK, { kind: "unary", handle: checkMethod(options) } as const],
		[PROCESS, { kind: "stream", open: (metadata: IncomingHttpHeaders) => openProcess(options, metadata) } as const],
	]);
}

const MALFORMED = new GrpcFailure(GRPC.INVALID_ARGUMENT, "malformed");

function checkMethod(options: Required<MethodsOptions>): (message: Buffer, metadata: IncomingHttpHeaders) => Reply {
	const reader = new CheckRequestReader();
	return (message, metadata) =>
		decide(options, "ext_authz", metadata, () => {
			const question = reader.read(message);
			const given = answer(options, question);
			return { answer: given, reply: checkResponse(given, question) };
		});
}

interface Decided {
	readonly answer: Answer;
	readonly reply: Reply;
}

/** Counts and traces one decision, and turns an unreadable message into a closed failure. */
function decide(
	{ observer }: Required<MethodsOptions>,
	protocol: Protocol,
	metadata: IncomingHttpHeaders,
	make: () => Decided,
): Reply {
	const span = startDecisionSpan(metadata);
	let ruling: Ruling | null = null;
	try {
		const decided = make();
		ruling = decided.answer.ruling;
		observer.answered(protocol, ruling);
		return decided.reply;
	} catch (error) {
		if (!(error instanceof Malformed)) throw error;
		observer.malformed(protocol);
		return MALFORMED;
	} finally {
		if (span !== null) endDecisionSpan(span, protocol, ruling);
	}
}

/** One HTTP request: its headers are decided on, its response is changed and observed as that decision says. */
function openProcess(options: Required<MethodsOptions>, metadata: IncomingHttpHeaders): StreamHandler {
	let context: RouteContext | null = null;
	let given: Answer | null = null;

	const requestHeaders = (): Reply =>
		decide(options, "ext_proc", metadata, () => {
			context ??= routeContext((key) => one(metadata[key]));
			const question = processing.question(context);
			given = answer(options, question);
			const wantResponse = changesResponse(given) || one(metadata[CONTEXT.observe]) === "1";
			return { answer: given, reply: requestHeadersResponse(given, question, wantResponse) };
		});

	return {
		message(bytes) {
			try {
				processing.read(bytes);
			} catch (error) {
				if (!(error instanceof Malformed)) throw error;
				options.observer.malformed("ext_proc");
				return MALFORMED;
			}
			const { event } = processing;
			if (event === "request_headers") {
				// A request has one head; a second decision on it would not be the one that was counted.
				if (given === null) return requestHeaders();
				options.observer.malformed("ext_proc");
				return MALFORMED;
			}
			if (event !== "response_headers" || given === null) return emptyResponse(event);
			options.observer.responded(given.ruling, processing.status());
			return responseHeadersResponse(given);
		},
		ended() {},
	};
}

// Handlers are synchronous, so one reader serves all streams.
const processing = new ProcessingRequestReader();

const one = (value: string | string[] | undefined): string | null =>
	typeof value === "string" ? value : (value?.[0] ?? null);
