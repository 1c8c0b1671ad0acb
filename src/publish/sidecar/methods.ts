/**
 * The sidecar's two methods, for the server in grpc/: envoy.service.auth.v3.Authorization/Check and
 * envoy.service.ext_proc.v3.ExternalProcessor/Process. The first pass is synchronous. If a token must be verified, the
 * message is copied, and a second pass answers it.
 */
import type { IncomingHttpHeaders } from "node:http2";
import type { TokenAnswer } from "../../compile/access/users/token.js";
import { CONTEXT } from "../../compile/envoy/calloutContext.js";
import { answer, answerOrWait, type Knowledge } from "./answer.js";
import { CheckRequestReader } from "./checkRequest.js";
import { checkResponse } from "./checkResponse.js";
import { type RouteContext, routeContext } from "./context.js";
import type { Protocol } from "./counters.js";
import { endDecisionSpan, startDecisionSpan } from "./decisionSpan.js";
import { type Given, GRPC, GrpcFailure, type Methods, type Reply, type StreamHandler } from "./grpc/service.js";
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

export interface AnswerObserver {
	answered(protocol: Protocol, ruling: Ruling): void;
	malformed(protocol: Protocol): void;
	responded(ruling: Ruling, status: number): void;
}

export interface MethodsOptions extends Knowledge {
	readonly observer?: AnswerObserver;
}

const NO_OBSERVER: AnswerObserver = { answered() {}, malformed() {}, responded() {} };

/** The methods by path. */
export function sidecarMethods(given: MethodsOptions): Methods {
	const options = { ...given, observer: given.observer ?? NO_OBSERVER };
	return new Map([
		[CHECK, { kind: "unary", handle: checkMethod(options) } as const],
		[PROCESS, { kind: "stream", open: (metadata: IncomingHttpHeaders) => openProcess(options, metadata) } as const],
	]);
}

const MALFORMED = new GrpcFailure(GRPC.INVALID_ARGUMENT, "malformed");

function checkMethod(options: Required<MethodsOptions>): (message: Buffer, metadata: IncomingHttpHeaders) => Given {
	const reader = new CheckRequestReader();
	return (message, metadata) =>
		decide(options, "ext_authz", metadata, (token) => {
			const question = reader.read(message);
			const given = token === undefined ? answerOrWait(options, question) : answer(options, question, token);
			if (given instanceof Promise) {
				// Copied, because the next call reuses the buffer.
				message = Buffer.from(message);
				return given;
			}
			return { answer: given, reply: checkResponse(given, question) };
		});
}

interface Decided {
	readonly answer: Answer;
	readonly reply: Reply;
}

/**
 * Counts and traces one decision; fails the call for an unreadable message.
 * @param make called without a token; if it returns a promise of one, called again with that
 */
function decide(
	{ observer }: Required<MethodsOptions>,
	protocol: Protocol,
	metadata: IncomingHttpHeaders,
	make: (token?: TokenAnswer) => Decided | Promise<TokenAnswer>,
): Given {
	const span = startDecisionSpan(metadata);
	const pass = (token?: TokenAnswer): Reply | Promise<TokenAnswer> => {
		let ruling: Ruling | null = null;
		let waits = false;
		try {
			const decided = make(token);
			waits = decided instanceof Promise;
			if (decided instanceof Promise) return decided;
			ruling = decided.answer.ruling;
			observer.answered(protocol, ruling);
			return decided.reply;
		} catch (error) {
			if (!(error instanceof Malformed)) throw error;
			observer.malformed(protocol);
			return MALFORMED;
		} finally {
			if (span !== null && !waits) endDecisionSpan(span, protocol, ruling);
		}
	};
	const first = pass();
	return first instanceof Promise ? first.then((token) => pass(token) as Reply) : first;
}

/** The stream of one HTTP request: decides on its headers, then changes and counts its response. */
function openProcess(options: Required<MethodsOptions>, metadata: IncomingHttpHeaders): StreamHandler {
	let context: RouteContext | null = null;
	let given: Answer | null = null;

	const requestHeaders = (message: Buffer): Given =>
		decide(options, "ext_proc", metadata, (token) => {
			context ??= routeContext((key) => one(metadata[key]));
			// The reader has read other messages meanwhile.
			if (token !== undefined) processing.read(message);
			const question = processing.question(context);
			const found = token === undefined ? answerOrWait(options, question) : answer(options, question, token);
			if (found instanceof Promise) {
				message = Buffer.from(message);
				return found;
			}
			given = found;
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
				// A request has headers only once, and is counted once.
				if (given === null) return requestHeaders(bytes);
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

// One reader for all streams, because each pass is synchronous.
const processing = new ProcessingRequestReader();

const one = (value: string | string[] | undefined): string | null =>
	typeof value === "string" ? value : (value?.[0] ?? null);
