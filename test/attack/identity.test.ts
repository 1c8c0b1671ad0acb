/** Identity matching and odd ids in certificates, in every execution. */

import { writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { JsonGeneralName } from "@peculiar/x509";
import t from "tap";
import type { ResourceSet } from "../../src/declare/resources/resource.js";
import { spiffe } from "../compile/access/mutualTls.js";
import { oddCa } from "../compile/access/oddCertificates.js";
import { accessPolicy, PATIENT, service, variant } from "../fixtures/resources.js";
import { type AttackScene, attackedResources, attackScene, FORMS } from "./scene.js";
import { exchange, get } from "./wire.js";

const uri = (value: string): JsonGeneralName => ({ type: "url", value });
const dns = (value: string): JsonGeneralName => ({ type: "dns", value });

/** Services by principal patterns: any authenticated client, all below a path, all but one. */
function withPatterns(set: ResourceSet, port: number): ResourceSet {
	const fields = { access: null, callout: PATIENT } as const;
	const names = ["star", "team", "neg", "prefix"];
	return {
		...set,
		services: [...set.services, ...names.map((name) => service(name, [variant("v1", port)], fields))],
		accessPolicies: [
			...set.accessPolicies,
			accessPolicy("star", "allow", ["star"], { principals: ["*"] }),
			accessPolicy("team", "allow", ["team"], { principals: [`${team}/*`] }),
			accessPolicy("neg", "allow", ["neg"], { principals: ["*"] }),
			accessPolicy("not-mallory", "deny", ["neg"], { principals: [spiffe("mallory")] }),
			accessPolicy("prefix", "allow", ["prefix"], { principals: ["spiffe://weir.test/*"] }),
		],
	};
}

const ODD: readonly (readonly [id: string, what: string, names: readonly JsonGeneralName[]])[] = [
	["CVE-2022-21656", "a DNS name that is another's SPIFFE id", [dns(spiffe("alice"))]],
	["CVE-2022-21656", "it beside an id of one's own", [uri(spiffe("mallory")), dns(spiffe("alice"))]],
	["CVE-2025-66220", "NUL behind another's id", [uri(`${spiffe("alice")}\0.evil.test`)]],
	["CVE-2026-47778", "NUL before it", [uri(`spiffe://evil.test/\0${spiffe("alice")}`)]],
	["CVE-2025-66220", "NUL in a DNS name", [dns(`${spiffe("alice")}\0`)]],
	["CVE-2023-27493", "line ends in a name", [uri(`${spiffe("mallory")}\r\nx-smuggled: 1\r\n\r\n`)]],
	["CVE-2026-39350", "a dot of a rule is a dot", [uri(spiffe("aXb"))]],
	["T-spiffe", "capitals in the scheme", [uri(spiffe("alice").replace("spiffe", "SPIFFE"))]],
	["T-spiffe", "an escape", [uri(spiffe("%61lice"))]],
	["T-spiffe", "dot segments", [uri(spiffe("x/../alice"))]],
	["T-spiffe", "a query", [uri(`${spiffe("alice")}?x`)]],
	["T-spiffe", "a fragment", [uri(`${spiffe("alice")}#x`)]],
	["T-spiffe", "a slash at its end", [uri(`${spiffe("alice")}/`)]],
	["T-spiffe", "another trust domain", [uri("spiffe://evil.test/alice")]],
	["T-two-uris", "two ids", [uri(spiffe("mallory")), uri(spiffe("alice"))]],
];

const team = spiffe("team");

/** No SPIFFE id of a workload (SPIFFE-ID sections 2.1 to 2.3), each beginning or ending as one that rules speak of. */
const NOT_STRICT: Readonly<Record<string, string>> = {
	"dot segments": `${team}/../admin`,
	"a dot segment at the end": `${team}/..`,
	"a single dot": `${team}/./a`,
	"escaped dots": `${team}/%2e%2e/admin`,
	"a query": `${team}/a?x=1`,
	"a fragment": `${team}/a#x`,
	"an empty segment": `${team}//a`,
	"a slash at the end": `${team}/a/`,
	"user information": team.replace("spiffe://", "spiffe://u@"),
	"a port": "spiffe://weir.test:99/team/a",
	"capitals in the trust domain": "spiffe://WEIR.TEST/team/a",
	"no path": "spiffe://weir.test",
	"no path but a slash": "spiffe://weir.test/",
	"no trust domain": "spiffe:///team/a",
	"the trust domain .": "spiffe://./team/a",
	"the trust domain ..": "spiffe://../team/a",
	"a trust domain of 256 bytes": `spiffe://${"a".repeat(256)}/team/a`,
	"an empty query behind a forbidden id": `${spiffe("mallory")}?`,
	"an @ in a segment": `${team}/a@b`,
	"2,300 bytes": `${team}/${"a".repeat(2_300)}`,
	"2,049 bytes": `${team}/${"a".repeat(2_049 - team.length - 1)}`,
};

/** What is one, however odd it looks. */
const STRICT: Readonly<Record<string, string>> = {
	"three dots": `${team}/...`,
	"a leading dot": `${team}/.a`,
	"two leading dots": `${team}/..a`,
	"many segments": `${team}/a/b/c/d/e/f/g/h`,
	"capitals in the path": `${team}/A_b-9.`,
	"2,048 bytes": `${team}/${"a".repeat(2_048 - team.length - 1)}`,
};

t.setTimeout(180_000);

for (const form of Object.keys(FORMS)) {
	t.test(form, { timeout: 120_000 }, async (t) => {
		const ca = await oddCa();
		const scene: AttackScene = await attackScene(
			t,
			form,
			(port, own) => {
				const set = withPatterns(attackedResources(port, own), port);
				const [gateway] = set.gateways;
				if (gateway?.spec.tls?.from !== "files") throw new Error("no TLS by files");
				const clientCaFile = join(dirname(own.gateway.certificateFile), "both.pem");
				return {
					...set,
					gateways: [{ ...gateway, spec: { ...gateway.spec, tls: { ...gateway.spec.tls, clientCaFile } } }],
				};
			},
			undefined,
			async (own) => {
				await writeFile(
					join(dirname(own.gateway.certificateFile), "both.pem"),
					`${own.ca.certificate}\n${ca.certificate}`,
				);
				return {};
			},
		);
		for (const [id, what, names] of ODD) {
			t.test(`${id}: ${what}`, async (t) => {
				const open = scene.tls.clientWith(scene.envoy.port(), await ca.issue(names));
				scene.upstream.take();
				for (const host of ["guarded.test", "wide.test"]) {
					const answer = await open().then(
						(socket) => exchange(socket, get(host, "/v2")),
						() => null,
					);
					t.notOk(answer?.statuses.includes(200), `${host}: ${answer?.statuses.join() ?? "TLS refused it"}`);
				}
				t.same(scene.upstream.take(), [], "nothing reached the upstream");
				await open()
					.then((socket) => exchange(socket, get("open.test", "/")))
					.catch(() => {});
				const smuggled = scene.upstream.take().filter(({ headers }) => headers.some(([name]) => name === "x-smuggled"));
				t.same(smuggled, [], "no name becomes a header");
			});
		}
		const asked = async (id: string, host: string) => {
			const open = scene.tls.clientWith(scene.envoy.port(), await ca.issue([uri(id)]));
			return open().then(
				async (socket) => (await exchange(socket, get(host, "/"))).statuses.join(),
				() => "TLS",
			);
		};
		for (const [what, id] of Object.entries(NOT_STRICT)) {
			t.test(`T-spiffe: ${what} matches no pattern and evades no denial`, async (t) => {
				scene.upstream.take();
				for (const host of ["star.test", "team.test", "neg.test", "prefix.test"]) {
					t.match(await asked(id, host), /^(403|TLS)$/, host);
				}
				t.same(scene.upstream.take(), []);
			});
		}
		t.test("T-spiffe: a valid SPIFFE id is accepted", async (t) => {
			for (const [what, id] of Object.entries(STRICT)) {
				for (const host of ["star.test", "team.test", "neg.test", "prefix.test"])
					t.equal(await asked(id, host), "200", `${what} at ${host}`);
			}
			t.equal(await asked(spiffe("mallory"), "neg.test"), "403");
			t.equal(await asked(spiffe("mallory"), "star.test"), "200");
		});
		t.test("T-spiffe: a trust domain with unusual characters is matched exactly", async (t) => {
			for (const domain of ["-", "_", ".a", "a.", "...", "a".repeat(255), `.${"a".repeat(254)}`, ".".repeat(255)])
				t.equal(await asked(`spiffe://${domain}/a`, "star.test"), "200", domain);
		});
		t.test("CVE-2026-39350: an id with a dot is served", async (t) => {
			const open = scene.tls.clientWith(scene.envoy.port(), await ca.issue([uri(spiffe("a.b"))]));
			t.same((await exchange(await open(), get("wide.test", "/"))).statuses, [200]);
		});
		t.test("T-no-certificate: TLS without a certificate, or with one of another CA, is refused", async (t) => {
			const otherCa = await oddCa();
			for (const certificate of [null, await otherCa.issue([uri(spiffe("alice"))])]) {
				const open = scene.tls.clientWith(scene.envoy.port(), certificate);
				const answer = await open().then(
					(socket) => exchange(socket, get("open.test", "/")),
					() => null,
				);
				t.same(answer?.statuses ?? [], []);
			}
		});
	});
}
