/** The newest Envoy accepts whatever `weir validate` accepts; test/long has the other tested versions. */
import t from "tap";
import { contentHash } from "../../../src/compile/assignment/hash.js";
import { readTable } from "../../../src/publish/sidecar/tableReader.js";
import { encodeEnvoyResource } from "../../../src/publish/xds/registry.js";
import { mutualTls } from "../access/mutualTls.js";
import { extremes, KINDS, planOf } from "./extremes.js";
import { refusedExtremes } from "./refusedExtremes.js";

const { from: _, ...files } = (await mutualTls(t)).gateway;
const all = extremes(files);
/**
 * All ends of numbers, times and words, issuers, and some of the texts; a listener of its own costs Envoy a third of a second.
 * Times are texts too, and always asked about.
 */
const cases = all.filter(
	({ ofGateway, isText, isFull, name }, index) =>
		index % 48 === 0 ||
		name.startsWith("Gateway spec.tokens = ") ||
		(!ofGateway && !isFull && (!isText || /= "[0-9]+(?:ms|s|d)/.test(name) || name.includes("pathTemplates"))),
);
/** Looks at all issuers. */
const limit = cases.find(({ name }) => name.startsWith("Service spec.rateLimits.tenant."));
t.setTimeout(300_000);

t.test("the extremes cover all fields and kinds", async (t) => {
	t.comment(`${cases.length} cases`);
	t.ok(all.length > 1_000);
	for (const kind of KINDS)
		t.ok(
			cases.some(({ name }) => name.startsWith(`${kind} `)),
			kind,
		);
	const full = all.filter(({ isFull }) => isFull).map(({ name }) => name);
	for (const field of ["Gateway spec.tokens", "Service spec.hosts", "Service spec.variants.0.endpoints"])
		t.ok(
			full.some((name) => name.startsWith(`${field} = `)),
			`${field} among ${full.join(", ")}`,
		);
	t.ok(limit, "and a limit of tenants, which the Gateways are tried with");
	const [most] = cases.filter(({ name, isFull }) => isFull && name.startsWith("Gateway spec.tokens"));
	const { routes } = planOf([most, limit].flatMap((one) => one ?? [])).envoy;
	t.match(JSON.stringify(routes), /"https:\/\/b\.example97"\},\{"key":"tenant"/, "of all issuers");
});

t.test("control's messages for all extremes fit proto/, which tests with a file do not check", async (t) => {
	// Each Gateway has the routes of all Services, with rules for each of its issuers: one Service is enough for them.
	const ofGateways = cases.filter(({ ofGateway }) => ofGateway);
	const others = cases.filter(({ ofGateway }) => !ofGateway);
	const packs = [[...ofGateways, ...(limit === undefined ? [] : [limit])]];
	for (let at = 0; at < others.length; at += 250) packs.push(others.slice(at, at + 250));
	for (const pack of packs) {
		const { listeners, routes } = planOf(pack).envoy;
		t.doesNotThrow(() => [...listeners, ...routes].map(encodeEnvoyResource));
	}
});

t.test("the sidecar's reader accepts each extreme; it would close a Service that it rejects", async (t) => {
	for (let at = 0; at < all.length; at += 50) {
		const json = JSON.stringify(planOf(all.slice(at, at + 50)).table);
		t.equal(readTable(contentHash(json), json).closed, undefined, `from ${all[at]?.name}`);
	}
});

t.test("Envoy accepts each extreme", { timeout: 300_000 }, async (t) => {
	t.same(await refusedExtremes(cases), []);
});
