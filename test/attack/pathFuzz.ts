/** Requests every spelling; a served path must not be the protected one, even to the most lenient server. */

import type { Test } from "tap";
import { headerValues, pipelined, rawGet } from "../envoy/pipeline.js";
import { startVariantServer } from "../envoy/variantServer.js";
import { attackedResources, attackScene } from "./scene.js";
import { spellings } from "./spellings.js";

const PROTECTED = [["v2", "secret"], ["admin"]] as const;

/** Decoded until nothing changes, slashes of all kinds, no parameters, no NUL and what is behind it, dots gone. */
export function leniently(path: string): string {
	let read = path.replace(/[?#].*$/s, "");
	for (let round = 0; round < 4; round++) {
		read = read
			.replace(/%u([0-9a-f]{4})/gi, (_, code: string) => String.fromCharCode(Number.parseInt(code, 16)))
			.replace(/%([0-9a-f]{2})/gi, (_, code: string) => String.fromCharCode(Number.parseInt(code, 16)));
	}
	read = read
		.replace(/\0.*$/s, "")
		.replace(/\xc0\xaf|\xc1\x9c|\xe0\x80\xaf|\\/g, "/")
		.replace(/\xc0\xae/g, ".")
		.replace(/;[^/]*/g, "");
	const segments: string[] = [];
	for (const segment of read.split("/")) {
		if (segment === "..") segments.pop();
		else if (segment !== "" && segment !== ".") segments.push(segment);
	}
	return `/${segments.join("/")}`;
}

/** @param every only every n-th spelling */
export async function pathsStayClosed(t: Test, form: string, every: number): Promise<void> {
	const upstream = await startVariantServer("v1", (socket, head) => {
		const path = Buffer.from(head.split(" ")[1] ?? "", "latin1").toString("base64");
		socket.write(`HTTP/1.1 200 OK\r\nx-path: ${path}\r\ncontent-length: 0\r\n\r\n`);
	});
	t.teardown(() => upstream.close());
	const scene = await attackScene(t, form, (_, tls) => attackedResources(upstream.port, tls));
	const paths = PROTECTED.flatMap((segments) => spellings(segments)).filter((_, index) => index % every === 0);
	const requests = paths.map((path) => {
		const [before = "", ...rest] = rawGet("guarded.test", [], "PATH").toString("latin1").split("PATH");
		return Buffer.from(`${before}${path}${rest.join("PATH")}`, "latin1");
	});
	const answers = await pipelined(() => scene.as("bob"), requests, { window: 1, connections: 8 });
	const through: string[] = [];
	const counts = { served: 0, denied: 0, refused: 0, others: 0 };
	for (const [index, { status, headers }] of answers.entries()) {
		counts[status === 200 ? "served" : status === 403 ? "denied" : status === 400 ? "refused" : "others"]++;
		if (status !== 200) continue;
		const seen = Buffer.from(
			headerValues(answers[index] as (typeof answers)[number], "x-path")[0] ?? "",
			"base64",
		).toString("latin1");
		if (headers.length === 0 || /^\/(?:v2\/secret|admin)(?:\/|$)/.test(leniently(seen)))
			through.push(`${paths[index]} as ${seen}`);
	}
	t.comment(`${paths.length} spellings: ${JSON.stringify(counts)}`);
	t.same(through, [], "no spelling of a protected path is served");
	t.ok(counts.denied > paths.length / 10 && counts.refused > paths.length / 20, "both were met");
	t.equal(answers.filter((answer) => answer === undefined).length, 0);
}
