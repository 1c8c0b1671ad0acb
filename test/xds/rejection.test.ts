/** Whom a NACK is put down to, when others change while it stands. */
import t from "tap";
import { sourceOf } from "../../src/xds/rejection.js";
import { type EncodedResource, NO_REFERENCES } from "../../src/xds/resource.js";

/** A route table of Services, each with the hash of its part. */
const table = (parts: Readonly<Record<string, string>>): EncodedResource => ({
	...{ name: "weir/edge", typeUrl: "", bytes: new Uint8Array(), hash: JSON.stringify(parts), source: "Gateway edge" },
	...{ ...NO_REFERENCES, endpoints: null, hosts: [], regions: [], checkTimeoutMs: null },
	parts: Object.entries(parts).map(([name, hash]) => ({ name, hash, source: `Service ${name}` })),
});

t.test("the Service that was at fault first stays it, whoever else changes meanwhile", async (t) => {
	const good = table({ evil: "1", users: "1" });
	const first = { hash: "", words: "no", source: sourceOf(table({ evil: "2", users: "1" }), good, "no") };
	t.equal(first.source, "Service evil");
	const both = table({ evil: "2", users: "2" });
	t.equal(sourceOf(both, good, "no", first), "Service evil");
	t.equal(sourceOf(both, good, "another fault", first), "Gateway edge", "of other words nothing is known");
	t.equal(sourceOf(both, good, "no"), "Gateway edge");
	t.equal(sourceOf(table({ evil: "1", users: "2" }), good, "no", first), "Service users", "it went back");
});
