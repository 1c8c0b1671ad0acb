/** Encodings reused from the previous snapshot equal new ones, and their input is not read again. */

import { isDeepStrictEqual } from "node:util";
import { equals, fromBinary } from "@bufbuild/protobuf";
import fc from "fast-check";
import t from "tap";
import { compile, NO_COLLECTORS } from "../../../src/compile/compile.js";
import type { CompiledPlan, EnvoyResource } from "../../../src/compile/plan/compiledPlan.js";
import { EMPTY_STATUS } from "../../../src/decide/rollout/status.js";
import type { ResourceSet } from "../../../src/declare/resources/resource.js";
import { RouteConfigurationSchema } from "../../../src/gen/envoy/config/route/v3/route_pb.js";
import { finish } from "../../../src/limits/slices.js";
import { Encodings } from "../../../src/publish/xds/encodings.js";
import { encodeEnvoyResource } from "../../../src/publish/xds/registry.js";
import { encodeResource } from "../../../src/publish/xds/resource.js";
import { SnapshotMaker } from "../../../src/publish/xds/snapshot.js";
import { accessPolicy, experiment, gateway, layer, resourceSet, service, variant } from "../../fixtures/resources.js";

const V1 = "0123456789abcdef";
const V2 = "fedcba9876543210";

const config = (...hosts: readonly object[]): EnvoyResource => ({
	"@type": "type.googleapis.com/envoy.config.route.v3.RouteConfiguration",
	name: "weir/edge",
	virtual_hosts: hosts,
	ignore_port_in_host_matching: true,
});

const host = (name: string, version: string, prefix = "/") => ({
	name,
	domains: [`${name}.test`],
	routes: [{ name: `weir|${version}|${name}|-`, match: { prefix }, route: { cluster: `${name}/v1` } }],
});

/** Serialises as the same JSON, but encoding it throws. */
const unreadable = (json: object): object => Object.assign(Object.create({ toJSON: () => json }), { colour: 1 });

const encodeWith = (encodings: Encodings, json: EnvoyResource, version: string) =>
	finish(encodings.encode("routes", json, version));

t.test("encoding host by host gives the same message and parts as encoding the whole", async (t) => {
	const json = config(host("a", V1), host("b", V1));
	const made = encodeWith(new Encodings(null), json, V1);
	const whole = encodeResource("routes", json);
	const message = fromBinary(RouteConfigurationSchema, made.bytes);
	t.ok(equals(RouteConfigurationSchema, message, fromBinary(RouteConfigurationSchema, encodeEnvoyResource(json))));
	t.match(made, { name: "weir/edge", source: "Gateway edge", typeUrl: whole.typeUrl, clusters: ["a/v1", "b/v1"] });
	const parts = (all: typeof whole.parts) => all.map((part) => JSON.stringify(part)).sort();
	t.same(parts(made.parts), parts(whole.parts));
	t.throws(() => encodeWith(new Encodings(null), config({ ...host("a", V1), colour: 1 }), V1), {
		code: "internal",
		message: /colour/,
	});
});

t.test("an unchanged host is not encoded again under a new plan version", async (t) => {
	const first = new Encodings(null);
	encodeWith(first, config(host("a", V1), host("b", V1)), V1);
	first.close();
	const second = new Encodings(first);
	const made = encodeWith(second, config(unreadable(host("a", V2)), host("b", V2, "/new")), V2);
	t.same(made, encodeWith(new Encodings(null), config(host("a", V2), host("b", V2, "/new")), V2));
	second.close();
	const third = new Encodings(second);
	const text = unreadable(host("b", V1));
	for (const one of [second, third])
		t.throws(() => encodeWith(one, config(text), V1), { message: /colour/ }, "no longer there, and forgotten");
	t.equal(
		encodeWith(third, config(unreadable(host("a", V2)), unreadable(host("b", V2, "/new"))), V2),
		made,
		"all as it was: the same object",
	);
});

t.test("a plan version in the text of a rule is not replaced", async (t) => {
	const first = new Encodings(null);
	encodeWith(first, config(host("a", V1, `/${V1}`)), V1);
	for (const prefix of [`/${V1}`, `/${V2}`]) {
		const json = config(host("a", V2, prefix));
		t.same(encodeWith(new Encodings(first), json, V2), encodeWith(new Encodings(null), json, V2), prefix);
	}
});

t.test("a Service's part stays the same when only the plan version changes", async (t) => {
	const hashes = (version: string, prefix: string) =>
		encodeWith(new Encodings(null), config(host("a", version), host("b", version, prefix)), version).parts.flatMap(
			({ hash }) => (hash === "" ? [] : [hash]),
		);
	const [before, after] = [hashes(V1, "/"), hashes(V2, "/new")];
	t.equal(after[0], before[0]);
	t.not(after[1], before[1]);
});

/** Declarations that differ in fields that tenants change. */
const declared: fc.Arbitrary<ResourceSet> = fc
	.record({
		prefix: fc.constantFrom("/a", "/b", `/${V1}`),
		callers: fc.uniqueArray(fc.constantFrom("spiffe://weir.test/x", "spiffe://weir.test/y"), { minLength: 1 }),
		step: fc.constantFrom(100_000, 500_000, null),
		open: fc.boolean(),
		second: fc.boolean(),
	})
	.map(({ prefix, callers, step, open, second }) =>
		resourceSet({
			gateways: [gateway({ port: 8080 }), ...(second ? [gateway({ port: 8081 }, "other")] : [])],
			layers: [layer("models", null)],
			services: [
				service("shop", [variant("v1", 9001), variant("v2", 9002)], { access: open ? "open" : null }),
				service("docs", [variant("v1", 9003)], { access: null, hosts: ["docs.test"] }),
			],
			experiments: step === null ? [] : [experiment("trial", "shop", [0, 1], { layer: "models", stepsPpm: [step] })],
			accessPolicies: [
				...(open ? [] : [accessPolicy("callers", "allow", ["shop"], { principals: callers })]),
				accessPolicy("no", "deny", ["docs"], { pathPrefixes: [prefix] }),
			],
		}),
	);

t.test("reused encodings equal new ones after any changes, closed Services included", async (t) => {
	let taken = 0;
	fc.assert(
		fc.property(fc.array(declared, { minLength: 2, maxLength: 5 }), fc.boolean(), (all, closing) => {
			const maker = new SnapshotMaker();
			for (const [index, resources] of all.entries()) {
				const plan = (closed: readonly string[]): CompiledPlan =>
					compile(resources, EMPTY_STATUS, {
						...{ collectors: NO_COLLECTORS, sidecar: "always", installation: "one" },
						closed: new Set(closed),
					});
				const whole = maker.make(plan([]), index);
				const fresh = new SnapshotMaker().make(plan([]), index);
				if (!isDeepStrictEqual(whole, fresh)) return false;
				const { envoy } = plan(["default/docs"]);
				if (closing && !isDeepStrictEqual(maker.variant(whole, envoy), new SnapshotMaker().variant(fresh, envoy)))
					return false;
				taken++;
			}
			return true;
		}),
		{ numRuns: 30 },
	);
	t.ok(taken > 50, `${taken} snapshots`);
});
