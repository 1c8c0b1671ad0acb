/** What Envoy, and the sidecar if called, did with a request, by its answer and the access log. */
import { readFile } from "node:fs/promises";
import type { Socket } from "node:net";
import { headerValues, type RawResponse } from "../envoy/pipeline.js";
import type { Generated } from "./declaration.js";
import type { Outcome } from "./outcome.js";
import type { GeneratedRequest } from "./requests.js";

/** Arm headers of an upstream, which must not pass as Weir's. */
const FORGED_ARM = "forged/by-upstream";

/** Answers with its name, the path and the parameters that it was sent. */
export const echo = (name: string) => (socket: Socket, head: string) => {
	const path = head.slice(head.indexOf(" ") + 1).split(" ", 1)[0] ?? "";
	const parameters = head.match(/^x-weir-param-[^\r\n]*/gim) ?? [];
	const arms = head.match(/^x-weir-arm: [^\r\n]*/gim) ?? [];
	const leaked = /^x-weir-(?!param-|arm:|claim-)/im.test(head) || /forged/.test(head) ? "x-leaked: yes\r\n" : "";
	socket.write(
		Buffer.from(
			`HTTP/1.1 200 OK\r\nx-variant: ${name}\r\nx-path: ${path}\r\n${leaked}x-sent: ${JSON.stringify([...arms, ...parameters].sort())}\r\nx-weir-arm: ${FORGED_ARM}\r\ncontent-length: 0\r\n\r\n`,
			"latin1",
		),
	);
};

/** Line of the access log of one request. */
export interface Logged {
	/** Envoy's word on who ended the request, and why. */
	readonly details: string;
	/** The sidecar's word, as dynamic metadata. */
	readonly metadata: Readonly<Record<string, string>> | null;
	/** The protocol of the callout; null = there was none. */
	readonly protocol: "ext_authz" | "ext_proc" | null;
}

/** Unit of the cookie that the response sets; null where it sets none. */
export const mintedUnit = (response: RawResponse): string | null =>
	headerValues(response, "set-cookie")
		.map((value) => /^weir_id=([^;]+)/.exec(value)?.[1] ?? null)
		.find((unit) => unit !== null) ?? null;

/** @param sidecarJudges the Service's access is the sidecar's to decide */
export function observe(
	answer: RawResponse,
	logged: Logged | undefined,
	{ resources }: Pick<Generated, "resources">,
	request: GeneratedRequest,
	sidecarJudges: boolean,
): Outcome {
	const allowed = answer.status === 200;
	const [sent = "[]"] = headerValues(answer, "x-sent");
	const shows = resources.gateways.find(({ metadata }) => metadata.name === request.gateway)?.spec.exposeArm ?? false;
	// ext_authz joins what it adds into one line (RFC 9110 5.3: the same).
	const exposed = headerValues(answer, "x-weir-arm").flatMap((value) => value.split(", "));
	// A Gateway that shows no arm leaves the upstream's own header alone.
	const arms = shows ? exposed : exposed.filter((value) => value !== FORGED_ARM);
	return {
		verdict: allowed ? "allow" : answer.status === 403 ? "deny" : "none",
		...reasonOf(logged, request, allowed, sidecarJudges),
		arms: allowed ? [...arms].sort() : null,
		variant: allowed ? (headerValues(answer, "x-variant")[0] ?? null) : null,
		sent: allowed ? (JSON.parse(sent) as readonly string[]) : null,
		cookie: allowed ? (headerValues(answer, "set-cookie")[0] ?? null) : null,
		...(headerValues(answer, "x-leaked").length > 0 ? { leaked: true } : {}),
	};
}

function reasonOf(
	logged: Logged | undefined,
	{ subject }: GeneratedRequest,
	allowed: boolean,
	sidecarJudges: boolean,
): Pick<Outcome, "reason" | "policy"> {
	// What the gate refuses before the sidecar is asked.
	if (sidecarJudges && /\[\(not_canonical/.test(logged?.details ?? ""))
		return { reason: "not-canonical", policy: null };
	if (sidecarJudges) {
		const { reason = "?", policy = null } = logged?.metadata ?? {};
		return { reason, policy: allowed ? null : policy };
	}
	// Envoy names the policy that denied; other requests were allowed or open.
	if (allowed) return { reason: subject.service.spec.access === "open" ? "open" : "allowed", policy: null };
	const policy = /^rbac_access_denied_matched_policy\[(.*)\]$/.exec(logged?.details ?? "")?.[1] ?? "?";
	if (policy === "none") return { reason: "no-policy-allows", policy: null };
	if (policy.startsWith("(not_canonical")) return { reason: "not-canonical", policy: null };
	return { reason: "forbidden", policy: policy.startsWith("(") ? null : policy };
}

/** A bootstrap whose listeners log each request into the file, as readLog() reads it. */
export function withAccessLog(bootstrap: object, path: string, more: Readonly<Record<string, string>> = {}): object {
	const copy = JSON.parse(JSON.stringify(bootstrap));
	for (const listener of copy.static_resources.listeners) {
		listener.filter_chains[0].filters.at(-1).typed_config.access_log = [
			{
				name: "file",
				typed_config: {
					"@type": "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog",
					path,
					log_format: {
						json_format: {
							id: "%REQ(X-REQUEST-ID)%",
							details: "%RESPONSE_CODE_DETAILS%",
							// As operators read them: names that are part of what we promise, so not imported.
							verdict: "%DYNAMIC_METADATA(envoy.filters.http.ext_authz)%",
							process: "%DYNAMIC_METADATA(weir)%",
							...more,
						},
					},
				},
			},
		];
	}
	return copy;
}

/** By x-request-id, which the response carries too. Whole once Envoy has ended. */
export async function readLog(path: string): Promise<ReadonlyMap<string, Logged>> {
	const lines = (await readFile(path, "utf8")).split("\n").filter((line) => line !== "");
	return new Map(
		lines.map((line) => {
			const { id, details, verdict, process } = JSON.parse(line);
			const protocol = verdict ? "ext_authz" : process ? "ext_proc" : null;
			return [id, { details: details ?? "", metadata: verdict ?? process ?? null, protocol }];
		}),
	);
}
