/** `weir policy test` gives a path the same verdict as a real Envoy. */
import t from "tap";
import { policyJudge } from "../../src/compile/access/review/policyCheck.js";
import { readPolicyTests } from "../../src/compile/access/review/policyTable.js";
import { spiffe } from "../compile/access/mutualTls.js";
import { inThisTier } from "../envoy/tierVersions.js";
import { accessPolicy, gateway, PATIENT, resourceSet, service, variant } from "../fixtures/resources.js";
import { attackScene } from "./scene.js";
import { spellings } from "./spellings.js";
import { exchange, get } from "./wire.js";

t.setTimeout(200_000);

const BYTES = Array.from({ length: 256 }, (_, byte) => byte);
/** Every printable character, every escape, and a sample of what scanners write. */
const PATHS = [
	...BYTES.filter((byte) => byte > 0x20 && byte < 0x7f).map((byte) => `/public/a${String.fromCharCode(byte)}b`),
	...BYTES.map((byte) => `/public/a%${byte.toString(16).padStart(2, "0")}b`),
	...["/%70ublic/x", "/public/%7Ea", "/public/%2D", "/public?x=|%41\\", "/public/%c3%a9", "/publi%43"],
	...[
		"/a/..;/public",
		"/a/.;/public",
		"/a/..;x/public",
		"/a/%2e%2e;/public",
		"/a/..%3b/public",
		"/a;/public",
		"/..;a=b/public/x",
	],
	...spellings(["public"]).filter((path, index) => index % 12 === 0 && /^\/[!-~]*$/.test(path)),
];

for (const version of inThisTier(["1.40.0", "1.36.2"])) {
	t.test(`\`weir policy test\` agrees with Envoy ${version} on each path`, { timeout: 90_000 }, async (t) => {
		let set = resourceSet({});
		const scene = await attackScene(
			t,
			"native",
			(port, tls) => {
				set = resourceSet({
					gateways: [gateway({ tls: tls.gateway })],
					services: [service("s", [variant("v1", port)], { access: null, callout: PATIENT })],
					accessPolicies: [
						accessPolicy("p", "allow", ["s"], { principals: [spiffe("web")], pathPrefixes: ["/public", "/publiC"] }),
					],
				});
				return set;
			},
			undefined,
			undefined,
			version,
		);
		const { judge } = policyJudge(set);
		let taken = 0;
		for (const path of PATHS) {
			const request = `{host: s.test, principal: "${spiffe("web")}", path: ${JSON.stringify(path)}}`;
			const text = `tests:\n  - {name: one, request: ${request}, expect: deny}\n`;
			const { tests, problems } = readPolicyTests({ name: "t.yaml", text });
			const [test] = tests;
			if (problems.length > 0 || test === undefined) continue;
			taken++;
			const { statuses } = await exchange(await scene.as("web"), get("s.test", path));
			t.equal(judge({ ...test.request, nowMs: 0 }).allowed, statuses[0] === 200, path);
		}
		t.ok(taken > PATHS.length / 2, `${taken} of ${PATHS.length} are taken`);
	});
}
