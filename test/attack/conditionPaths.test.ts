/** A condition on the path is not passed by another spelling of the same path, through a real Envoy. */
import t from "tap";
import { compileCondition } from "../../src/access/condition.js";
import type { MutualTls } from "../access/mutualTls.js";
import { accessPolicy, gateway, PATIENT, resourceSet, service, variant } from "../fixtures/resources.js";
import { attackScene } from "./scene.js";
import { exchange, get } from "./wire.js";

t.setTimeout(300_000);

const DENIED = [
	'request.path.startsWith("/caf%C3%A9")',
	'request.path.startsWith("/admin/[x]")',
	// Computed, so that nothing could be said of it when it is read.
	'request.path.endsWith(request.method == "GET" ? "%7Cb" : "x")',
];

/** By what Envoy leaves of it, so that no spelling of a denied path is served. */
const CLOSED = [
	...["/caf%C3%A9", "/caf%c3%a9", "/caf%C3%a9", "/caf%c3%A9/x"],
	...["/admin/[x]", "/admin/%5Bx%5D", "/admin/%5bx%5d", "/admin/[x%5D"],
	...["/a|b", "/a%7Cb", "/a%7cb"],
];
const SERVED = ["/ok", "/caf%C3%A8", "/admin/[y]", "/a%20b", "/100%25", "/a%23b%3Fc", "/ok?q=%7c%c3"];

for (const form of ["ext_authz", "ext_proc"]) {
	t.test(form, { timeout: 100_000 }, async (t) => {
		const scene = await attackScene(t, form, (port, tls) =>
			resourceSet({
				gateways: [gateway({ tls: tls.gateway })],
				services: [
					service("judged", [variant("v1", port)], { access: null, callout: PATIENT }),
					service("by-prefix", [variant("v1", port)], { access: null, callout: PATIENT }),
				],
				accessPolicies: [
					accessPolicy("all", "allow", ["judged", "by-prefix"], { principals: ["*"] }),
					...DENIED.map((condition, index) => accessPolicy(`no-${index}`, "deny", ["judged"], { condition })),
					accessPolicy("no-admin", "deny", ["by-prefix"], { pathPrefixes: ["/admin"] }),
				],
			}),
		);
		const asked = async (host: string, path: string): Promise<number | undefined> =>
			(await exchange(await scene.as("web"), get(host, path))).statuses[0];
		for (const path of CLOSED) t.equal(await asked("judged.test", path), 403, path);
		t.same(scene.upstream.take(), [], "none of them was served");
		for (const path of SERVED) t.equal(await asked("judged.test", path), 200, path);
		for (const path of ["/caf%c3%a9", "/a%7Cb"]) {
			t.equal(await asked("by-prefix.test", path), 200, `${path}, where a prefix alone is compared`);
		}
	});
}

/** What Envoy escapes, so that the escape is its one spelling. */
const ESCAPES = Object.entries({
	'"': "%22",
	"<": "%3C",
	">": "%3E",
	"^": "%5E",
	"`": "%60",
	"{": "%7B",
	"|": "%7C",
	"}": "%7D",
});

for (const version of ["1.40.0", "1.36.2"]) {
	for (const form of ["ext_authz", "ext_proc"]) {
		t.test(`Envoy ${version}, ${form}: what it escapes is served as its escape`, { timeout: 100_000 }, async (t) => {
			const condition = `request.path in [${ESCAPES.map(([, code]) => `"/no${code}b"`).join()}]`;
			t.equal(compileCondition(condition).misspelling, null);
			const resources = (port: number, tls: MutualTls) =>
				resourceSet({
					gateways: [gateway({ tls: tls.gateway })],
					services: [service("judged", [variant("v1", port)], { access: null, callout: PATIENT })],
					accessPolicies: [
						accessPolicy("all", "allow", ["judged"], { principals: ["*"] }),
						accessPolicy("no", "deny", ["judged"], { condition }),
					],
				});
			const scene = await attackScene(t, form, resources, undefined, undefined, version);
			const asked = async (path: string) => {
				const { text } = await exchange(await scene.as("web"), get("judged.test", path));
				const [told] = /access denied: \S+/.exec(text) ?? [];
				return told ?? scene.upstream.take().map(({ url }) => url);
			};
			for (const [raw, code] of ESCAPES) {
				for (const spelt of [raw, code]) {
					t.same(await asked(`/a${spelt}b`), [`/a${code}b`], spelt);
					t.equal(await asked(`/no${spelt}b`), "access denied: forbidden", spelt);
				}
				const lower = code.toLowerCase();
				if (lower !== code) t.equal(await asked(`/a${lower}b`), "access denied: not-canonical", lower);
			}
		});
	}
}
